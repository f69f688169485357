"""Commands that send a study's images to a denoiser elsewhere and take them back: export, import."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Device, ProgressOption, Run
from taskct.cli.terminal import note, print_line, show_progress


@app.command(name="export")
def export_command(
    run: Run,
    target: Annotated[Path, Argument(metavar="DIR", help="A new or empty folder for the images.")],
    split: Annotated[
        str,
        Option(
            metavar="A,B",
            help="Which trials: of test, fresh, validation and train; train only where something is to learn on the "
            "denoised images.",
        ),
    ] = "test,fresh,validation",
    image_format: Annotated[
        str, Option("--format", metavar="F", help="dicom, npy, nifti, zarr or mha; all but dicom hold float32.")
    ] = "dicom",
    whole: Annotated[
        bool, Option("--whole", help="Whole slices, for boxes that want them; the trials are cut from what comes back.")
    ] = False,
    stacks: Annotated[
        bool, Option("--stacks", help="Every trial a series or a file of its own, for boxes that mix slices.")
    ] = False,
    step_hu: Annotated[
        float, Option(metavar="HU", help="DICOM: one step of the stored values; rounding adds noise of 0.29 steps.")
    ] = 1.0,
    device: Device = "auto",
    progress: ProgressOption = None,
) -> None:
    """Write a study's low-dose images for a denoiser elsewhere.

    As in: taskct export runs/demo to-vendor; then, with what came back: taskct import runs/demo from-vendor --name
    vendor-x

    The splits are mixed, and names, order and headers tell nothing of them; which image is which stays in the run
    folder, at exported/. By default one trial is one slice of a CT series; DIR/README.txt says what is wanted back.
    """
    from taskct.apply.round_trip import ExportOptions, export_study
    from taskct.cli.run_folder import open_run

    options = ExportOptions(
        splits=tuple(part.strip() for part in split.split(",")),
        format=image_format,
        whole=whole,
        stacks=stacks,
        step_hu=step_hu,
    )
    folder = open_run(run, device)
    with show_progress(progress) as show:
        key = export_study(folder, target, options, progress=show.open("export"))
    counts = ", ".join(f"{n} {name}" for name, n in key.splits.items())
    print_line(f"Exported: {target} ({len(key.images)} images: {counts}); which is which: {key.path(run)}")


@app.command(name="import")
def import_command(
    run: Run,
    source: Annotated[Path, Argument(metavar="DIR", help="The folder with the denoised images.")],
    name: Annotated[
        str, Option(metavar="NAME", help="What the arm is called: small letters, digits, points and hyphens.")
    ],
    software: Annotated[
        str | None, Option(metavar="TEXT", help="What denoised them: product, version, setting; kept beside them.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        Option(
            metavar="CHECK",
            help="Take the images although this check fails: unchanged, order, turned, foreign, shift, 8-bit, clipped "
            "or values; repeatable.",
        ),
    ] = None,
    scale: Annotated[float, Option(metavar="S", help="HU are S times the values, plus --offset.")] = 1.0,
    offset: Annotated[float, Option(metavar="HU", help="HU are --scale times the values, plus this.")] = 0.0,
    export: Annotated[
        str | None, Option("--export", metavar="ID", help="Which export they are of, where they do not tell it.")
    ] = None,
    replace: Annotated[bool, Option("--replace", help="Replace the images of NAME that are there already.")] = False,
    device: Device = "auto",
    progress: ProgressOption = None,
) -> None:
    """Take denoised images of a study back, as one more arm.

    As in: taskct import runs/demo from-vendor --name vendor-x; then taskct evaluate runs/demo and taskct report
    runs/demo

    Images may come in any order and format: told by the DICOM image they were made from, by UID, name, position, or
    manifest.csv. Missing, doubled, resampled, moved, turned, exchanged or clipped images, 8 bit, other HU, those of
    another study, and low-dose images that nothing was done to are refused, and then nothing is written.
    """
    from taskct.apply.round_trip import ImportOptions, import_study
    from taskct.cli.run_folder import open_run

    options = ImportOptions(
        software=software,
        accept=tuple(accept or ()),
        scale=scale,
        offset_hu=offset,
        export=export,
        replace=replace,
    )
    folder = open_run(run, device)
    with show_progress(progress) as show:
        found = import_study(folder, source, name, options, progress=show.open("import"))
    for line in found.notes:
        note(line)
    print_line(f"Imported: {found.n_images} images as import={found.name}; `taskct evaluate {run}` measures them")
