"""The command removed: what a denoiser took away, where nobody knows the truth."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Confidence, Json
from taskct.cli.terminal import interval_text, print_json, print_line
from taskct.errors import UserError


@app.command(name="removed")
def removed_command(
    low_dose: Annotated[
        Path,
        Argument(metavar="LOW", help="Before: a folder with a DICOM series, a NIfTI file, or a stack such as .npy."),
    ],
    denoised: Annotated[Path, Argument(metavar="DENOISED", help="After: the same slices, in the same kind of file.")],
    out_folder: Annotated[
        Path | None, Option("--out", metavar="FOLDER", help="A new folder for a page, the numbers and the map.")
    ] = None,
    confidence: Confidence = 0.95,
    seed: Annotated[int, Option("--seed", metavar="N", min=0, help="Of the resampling.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask how much of what a denoiser took away runs along the edges of the image.

    As in: taskct removed CT_FOLDER DENOISED_FOLDER --out removed

    It needs no truth: noise does not go on along an edge, what was blurred does. DICOM series and NIfTI files are
    paired by the position of their slices.
    """
    from taskct.apply.removed import removed_from, write_removed
    from taskct.cli.removed_page import removed_page
    from taskct.report.sections import render_sections

    if not 0.0 < confidence < 1.0:
        raise UserError(f"--confidence is {confidence:g}; it must lie in (0, 1)")
    if out_folder is not None and out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError(f"{out_folder} exists: choose another --out, nothing is overwritten")
    removed = removed_from(low_dose, denoised, confidence=confidence, seed=seed)
    if out_folder is not None:
        write_removed(out_folder, removed, page=render_sections(removed_page(removed)))
    if as_json:
        print_json(removed.as_dict())
        return
    found = removed.found
    print_line(removed.sentence)
    if found.of_all is not None:
        print_line(f"Of all that was taken: {interval_text(found.of_all)} of the variance.")
    between = "" if found.between_slices is None else f"; between slices {interval_text(found.between_slices)}"
    print_line(f"Taken: {found.noise_hu:.1f} HU; correlated over {found.half_width_px:.1f} pixels (half){between}.")
    if out_folder is not None:
        print_line(f"Written: {out_folder}")
