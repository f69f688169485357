"""The command observe: numerical observers on a user's images."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from taskct.cli.app import app
from taskct.cli.options import Confidence, Device, Json, Margin, ProgressOption
from taskct.cli.tables import interval_text, margin_text, print_json
from taskct.errors import UserError
from taskct.image_stack import ImageStack, read_images
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import roc_curve
from taskct.observers import OBSERVERS
from taskct.observers.eye import VIEWING_DISTANCE_MM
from taskct.report.roc import draw_roc
from taskct.study.observe import Eye, Mode, Observation, Task, observe
from taskct.study.observe.files import read_covariance, two_folders, write_observation
from taskct.study.stages import resolve_device
from taskct.terminal import note, out, print_roc, print_table, show_progress
from taskct.truth_table import Truth, read_truth

PIXEL_MM = 0.7  # where images do not tell theirs: 512 pixels over 360 mm


@app.command(name="observe")
def observe_command(
    images: Annotated[
        Path | None,
        typer.Argument(metavar="[IMAGES]", help="All images, with --truth: a file or a folder.", show_default=False),
    ] = None,
    present: Annotated[
        Path | None, typer.Option("--present", metavar="PATH", help="Images with the signal.", show_default=False)
    ] = None,
    absent: Annotated[
        Path | None, typer.Option("--absent", metavar="PATH", help="Images without it.", show_default=False)
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            metavar="CSV",
            help="Table with image,signal_present and, if known, case, row_px,column_px, split (train or test).",
            show_default=False,
        ),
    ] = None,
    versus: Annotated[
        list[Path] | None,
        typer.Option(
            "--versus",
            metavar="PATH",
            help="The same trials imaged otherwise, to compare with: once for IMAGES; twice, present and absent.",
            show_default=False,
        ),
    ] = None,
    observers: Annotated[
        str,
        typer.Option(
            "--observers", metavar="LIST", help=f"Of {', '.join(name.replace('_', '-') for name in OBSERVERS)}."
        ),
    ] = "ho,cho-lg,npwe",
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="whole: the whole image; centred: a window around the known site; scanning: search all sites.",
        ),
    ] = "whole",
    window_px: Annotated[
        int | None, typer.Option("--window-px", metavar="N", min=1, help="Side of the window around a site, pixels.")
    ] = None,
    radius_px: Annotated[
        float | None,
        typer.Option("--radius-px", metavar="R", help="Located within, pixels; half the window by default."),
    ] = None,
    train_share: Annotated[
        float, typer.Option("--train-share", metavar="S", help="Share of the trials that observers learn from.")
    ] = 0.5,
    training_sets: Annotated[
        int,
        typer.Option(
            "--training-sets",
            metavar="K",
            min=1,
            help="Divide these trials into K sets; K observers then count as readers (MRMC).",
        ),
    ] = 1,
    learning: Annotated[
        bool, typer.Option("--learning-curve", help="AUC against training trials, and where it leads.")
    ] = False,
    pixel_mm: Annotated[
        float | None,
        typer.Option("--pixel-mm", metavar="MM", help="Pixel size, for npwe and ho-eye, where the files do not tell."),
    ] = None,
    viewing_distance_mm: Annotated[
        float, typer.Option("--viewing-distance-mm", metavar="MM", help="From the eye to the display.")
    ] = VIEWING_DISTANCE_MM,
    magnification: Annotated[
        float, typer.Option("--magnification", metavar="M", help="Size on the display over size in the object.")
    ] = 1.0,
    internal_noise: Annotated[
        float,
        typer.Option(
            "--internal-noise",
            metavar="R",
            help="Of npwe and cho-*, relative to the test statistic's standard deviation within a class.",
        ),
    ] = 0.0,
    internal_noise_hu: Annotated[
        float, typer.Option("--internal-noise-hu", metavar="HU", help="Of ho-eye, per pixel behind the eye.")
    ] = 3.0,
    margin: Margin = None,
    covariance: Annotated[
        Path | None,
        typer.Option("--covariance", metavar="NPY", help="For pwmf: covariance, (pixels, pixels).", show_default=False),
    ] = None,
    specificity: Annotated[
        float, typer.Option("--specificity", metavar="S", help="At which sensitivity is given, in (0, 1).")
    ] = 0.9,
    confidence: Confidence = 0.95,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of every random choice.")] = 0,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write observe.json, roc.png, scores.csv and a ratings file of each observer.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    device: Device = "auto",
    progress: ProgressOption = None,
) -> None:
    """Measure how well numerical observers find a signal in your images.

    As in: taskct observe --present lesion/ --absent plain/ --observers ho,cho-lg,npwe

    Images are .npy, .zarr, TIFF or PNG stacks, or folders of such or of DICOM slices. Observers learn from one part of
    them and are tested on the other; with --versus the same trials in other images are compared, trial by trial.
    """
    if out_folder is not None and out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError(f"{out_folder} exists: choose another --out, nothing is overwritten")
    if images is not None and truth is not None and present is None and absent is None:
        stack, known = _with_truth(images, truth)
        wanted = 1
    elif present is not None and absent is not None and images is None and truth is None:
        stack, known = two_folders(present, absent)
        wanted = 2
    else:
        raise UserError("give either --present and --absent, or IMAGES and --truth")
    other = None
    if versus:
        if len(versus) != wanted:
            raise UserError(
                f"{len(versus)} times --versus: give it {('once', 'twice, present and absent')[wanted - 1]}"
            )
        other, theirs = two_folders(*versus) if truth is None else _with_truth(versus[0], truth)
        if not np.array_equal(theirs.signal_present, known.signal_present):
            raise UserError(
                "the images of --versus are not the same trials: as many with and without the signal are wanted"
            )
    names = [name.strip() for name in observers.split(",") if name.strip()]
    size = stack.pixel_mm if pixel_mm is None else pixel_mm
    guessed = size is None and any(name.replace("-", "_") in ("npwe", "ho_eye") for name in names)
    eye = Eye(PIXEL_MM if size is None else size, viewing_distance_mm, magnification, internal_noise_hu, internal_noise)
    with show_progress(progress) as show:
        found = observe(
            stack.images,
            Task(known, mode, window_px, radius_px),
            names,
            versus=None if other is None else other.images,
            eye=eye,
            covariance=None if covariance is None else read_covariance(covariance),
            train_share=train_share,
            n_training_sets=training_sets,
            learn=learning,
            margin=margin,
            specificity=specificity,
            confidence=confidence,
            seed=seed,
            device=resolve_device(device),
            progress=show.open("observe"),
        )
    if out_folder is not None:
        write_observation(out_folder, found, roc_png=draw_roc(_curves(found)))
    if as_json:
        print_json(found.as_dict())
    else:
        _print_observation(found)
        if out_folder is not None:
            out.print(f"Written: {out_folder}", highlight=False, soft_wrap=True)
    if other is not None and other.names != stack.names:
        note("the files of --versus are called otherwise: trials are paired in the order of their names")
    if guessed:
        note(f"the images do not tell their pixel size: the eye takes {PIXEL_MM} mm; give --pixel-mm")
    for one in found.observers:
        for line in one.notes:
            note(f"{one.name}: {line}")


def _with_truth(images: Path, truth: Path) -> tuple[ImageStack, Truth]:
    """Images and what a table says of them."""
    stack = read_images(images)
    return stack, read_truth(truth, stack.names)


def _print_observation(found: Observation) -> None:
    about = found.about
    train, test = about["train"], about["test"]
    title = f"Trained on {train['present']} + {train['absent']} trials, tested on {test['present']} + {test['absent']}"
    table = Table(box=None, header_style="bold", pad_edge=False)
    percent = f"{about['confidence']:.0%}"
    compared = any(one.versus is not None for one in found.observers)
    scanning = about["mode"] == "scanning"
    table.add_column("observer", no_wrap=True)
    for heading in (
        f"AUC ({percent})",
        f"d_a ({percent})",
        f"sensitivity at {about['specificity']:g}",
        *(["LROC area", "located"] if scanning else []),
        *(["AUC, versus", "difference", "p", "p (Holm)"] if compared else []),
    ):
        table.add_column(heading, justify="right")
    adjusted = found.p_holm()
    for one in found.observers:
        mine = one.images
        cells = [one.name, interval_text(mine.auc), interval_text(mine.d_a, 2), interval_text(mine.sensitivity, 2)]
        if scanning and mine.lroc_area is not None and mine.located is not None:
            cells += [interval_text(mine.lroc_area), interval_text(mine.located, 2)]
        if one.versus is not None and one.difference is not None:
            delta = one.difference
            shown = interval_text(Interval(delta.delta_auc, delta.ci_low, delta.ci_high), sign=True)
            cells += [interval_text(one.versus.auc), shown, f"{delta.p_value:.2g}", f"{adjusted[one.name]:.2g}"]
        table.add_row(*cells)
    print_table(table, f"{title} (signal present + absent)")
    out.print(f"Intervals: {found.observers[0].images.method}.", highlight=False)
    for one in found.observers:
        if (gaussian := one.images.gaussian_auc) is not None:
            endless = f"{one.name} with endless training, if Gaussian: AUC {interval_text(gaussian)}, exact interval."
            out.print(endless, highlight=False, soft_wrap=True)
        for test_of in one.comparisons:
            line = margin_text(test_of, "the images", "those of --versus")
            out.print(f"{one.name}: {line}", highlight=False, soft_wrap=True)
        if one.learning is not None:
            out.print(f"{one.name}: {one.learning.message}", highlight=False, soft_wrap=True)
    print_roc(_curves(found))


def _curves(found: Observation) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """ROC curves of the first training set, by observer and AUC."""
    present = found.signal_present
    curves = {}
    for one in found.observers:
        for label, performance in ((one.name, one.images), (f"{one.name}, versus", one.versus)):
            if performance is not None:
                statistic = performance.readings[0].statistic
                named = f"{label} {performance.auc.value:.3f}"
                curves[named] = roc_curve(statistic[present], statistic[~present])
    return curves
