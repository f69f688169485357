"""The command observe: numerical observers on a user's images; what computes is imported when it is called."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from taskct.apply.observe.choices import CaseFrom, Mode, PairBy
from taskct.cli.app import app
from taskct.cli.options import Confidence, Device, Json, Margin, ProgressOption
from taskct.cli.terminal import note, print_json, print_line, show_progress
from taskct.errors import UserError
from taskct.observer_registry import OBSERVERS, VIEWING_DISTANCE_MM, observers_needing

if TYPE_CHECKING:
    import torch

    from taskct.apply.observe import Known, Observation


def _names(observers: Iterable[str]) -> str:
    """Names as the command takes them."""
    return ", ".join(name.replace("_", "-") for name in observers)


OF = {
    what: _names(observers_needing(what))
    for what in ("pixel_mm", "internal_noise", "internal_noise_hu", "covariance", "signal")
}
"""Names of the observers that an option is for."""
PIXEL_MM = 0.7  # where images do not tell theirs: 512 pixels over 360 mm


@app.command(name="observe")
def observe_command(
    images: Annotated[
        Path | None, Argument(metavar="[IMAGES]", help="All images, with --truth: a file or a folder.")
    ] = None,
    present: Annotated[Path | None, Option(metavar="PATH", help="Images with the signal.")] = None,
    absent: Annotated[Path | None, Option(metavar="PATH", help="Images without it.")] = None,
    truth: Annotated[
        Path | None,
        Option(
            metavar="CSV",
            help="Table with image,signal_present and, if known, case, row_px,column_px, split (train or test).",
        ),
    ] = None,
    versus: Annotated[
        list[Path] | None,
        Option(
            metavar="PATH",
            help="The same trials imaged otherwise, to compare with: once for IMAGES; twice, present and absent.",
        ),
    ] = None,
    case_from: Annotated[
        CaseFrom | None,
        Option(
            metavar="WHAT",
            help="What makes images one case: series (default; or a sub-folder), acquisition, or file for none.",
        ),
    ] = None,
    pair_by: Annotated[
        PairBy,
        Option(
            metavar="HOW",
            help="Of --versus: auto (truth table, header, equal names, else refused) or name (order of names).",
        ),
    ] = "auto",
    observers: Annotated[str, Option(metavar="LIST", help=f"Of {_names(OBSERVERS)}.")] = "ho,cho-lg,npwe",
    mode: Annotated[
        Mode,
        Option(
            metavar="MODE",
            help="whole: the whole image; centred: a window around the known site; scanning: search all sites.",
        ),
    ] = "whole",
    window_px: Annotated[
        int | None, Option(metavar="N", min=1, help="Side of the window around a site, pixels.")
    ] = None,
    site: Annotated[
        str | None, Option(metavar="ROW,COL", help="The one site of the signal in all images, pixels.")
    ] = None,
    radius_px: Annotated[
        float | None, Option(metavar="R", help="Located within, pixels; half the window by default.")
    ] = None,
    train_share: Annotated[float, Option(metavar="S", help="Share of the trials that observers learn from.")] = 0.5,
    training_sets: Annotated[
        int | None,
        Option(
            metavar="K",
            min=1,
            max=100,
            help="Divide these trials into K sets, so that intervals hold the training; by default 4 or 3 where the "
            "trials allow, else 1.",
        ),
    ] = None,
    learning: Annotated[
        bool, Option("--learning-curve", help="AUC against training trials, and where it leads.")
    ] = False,
    pixel_mm: Annotated[
        float | None, Option(metavar="MM", help=f"Pixel size, for {OF['pixel_mm']}, where the files do not tell.")
    ] = None,
    viewing_distance_mm: Annotated[
        float, Option(metavar="MM", help="From the eye to the display.")
    ] = VIEWING_DISTANCE_MM,
    magnification: Annotated[float, Option(metavar="M", help="Size on the display over size in the object.")] = 1.0,
    internal_noise: Annotated[
        float,
        Option(
            metavar="R",
            help=f"Of {OF['internal_noise']}, relative to the test statistic's standard deviation within a class.",
        ),
    ] = 0.0,
    internal_noise_hu: Annotated[
        float, Option(metavar="HU", help=f"Of {OF['internal_noise_hu']}, per pixel behind the eye.")
    ] = 3.0,
    margin: Margin = None,
    covariance: Annotated[
        Path | None, Option(metavar="NPY", help=f"For {OF['covariance']}: covariance, (pixels, pixels).")
    ] = None,
    signal: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE",
            help=f"For {OF['signal']}: image of the known mean signal, HU; again for --versus, if it differs there.",
        ),
    ] = None,
    specificity: Annotated[float, Option(metavar="S", help="At which sensitivity is given, in (0, 1).")] = 0.9,
    confidence: Confidence = 0.95,
    seed: Annotated[int, Option(metavar="N", min=0, help="Of every random choice.")] = 0,
    out_folder: Annotated[
        Path | None,
        Option(
            "--out",
            metavar="FOLDER",
            help="Write observe.html, observe.json, roc.png, scores.csv and a ratings file of each observer.",
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
    from taskct.apply.observe import EvaluationPlan, Eye, Task, observe
    from taskct.apply.observe.inputs import Sources, read_inputs
    from taskct.cli.observation import print_observation

    if out_folder is not None and out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError(f"{out_folder} exists: choose another --out, nothing is overwritten")
    known = read_inputs(Sources(images, truth, present, absent, tuple(versus or ()), case_from, pair_by, _site(site)))
    names = [name.strip() for name in observers.split(",") if name.strip()]
    size = known.pixel_mm if pixel_mm is None else pixel_mm
    guessed = size is None and any(name.replace("-", "_") in observers_needing("pixel_mm") for name in names)
    eye = Eye(PIXEL_MM if size is None else size, viewing_distance_mm, magnification, internal_noise_hu, internal_noise)
    plan = EvaluationPlan(train_share, training_sets, learning, margin, specificity, confidence, seed)
    with show_progress(progress) as show:
        found = observe(
            known.images,
            Task(known.truth, mode, window_px, radius_px),
            names,
            versus=known.versus,
            eye=eye,
            known=_told(covariance, signal or []),
            plan=plan,
            device=_device(device, names),
            progress=show.open("observe"),
        )
    found = replace(found, about=found.about | {"cases": known.cases, "paired_by": known.paired})
    if out_folder is not None:
        _write(out_folder, found)
    if as_json:
        print_json(found.as_dict())
    else:
        print_observation(found)
        if out_folder is not None:
            print_line(f"Written: {out_folder}")
    if guessed:
        note(f"the images do not tell their pixel size: the eye takes {PIXEL_MM} mm; give --pixel-mm")
    for line in found.notes:
        note(line)
    for name, why in found.failed.items():
        note(f"{name} has no result: {why}")
    said: dict[str, list[str]] = {}
    for one in found.observers:
        for line in one.notes:
            said.setdefault(line, []).append(one.name)
    for line, of_observers in said.items():  # once, whoever it is about
        note(f"{', '.join(of_observers)}: {line}")


def _device(device: str, names: list[str]) -> "torch.device | str":
    """Where networks are trained; torch, which takes long to load, is left alone where there are none."""
    needed = any(name.replace("-", "_") in observers_needing("device") for name in names)
    if device in ("auto", "cpu") and not needed:
        return "cpu"
    from taskct.machine import resolve_device

    return resolve_device(device)


def _write(folder: Path, found: "Observation") -> None:
    from taskct.apply.observe.observation import write_observation
    from taskct.cli.observation import roc_curves
    from taskct.cli.observation_page import observation_page
    from taskct.report.figures import draw_roc
    from taskct.report.sections import render_sections

    roc_png = draw_roc(roc_curves(found))
    write_observation(folder, found, roc_png=roc_png, page=render_sections(observation_page(found, roc_png)))


def _told(covariance: Path | None, signals: list[Path]) -> "Known":
    from taskct.apply.observe import Known
    from taskct.apply.observe.inputs import read_covariance, read_signal

    if len(signals) > 2:
        raise UserError(f"{len(signals)} times --signal: give it once, or twice where it differs in --versus")
    first, second, *_ = [*(read_signal(path) for path in signals), None, None]
    return Known(None if covariance is None else read_covariance(covariance), first, second)


def _site(text: str | None) -> tuple[float, float] | None:
    """Row and column from text such as `31.5,32`."""
    if text is None:
        return None
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--site is {text!r}; give the row and the column in pixels, such as 31.5,32") from None
    return row, column
