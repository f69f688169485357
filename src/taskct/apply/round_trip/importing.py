"""Take the images that a denoiser elsewhere made of a study, check them, and make them an arm of the run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskct.apply.round_trip.checks import CHECKS, Finding, Returned, examine, measure_scale
from taskct.apply.round_trip.key import ExportKey, read_keys
from taskct.apply.round_trip.low_dose import trials_of
from taskct.apply.round_trip.returned_files import Collector, choose_key, find_files
from taskct.errors import UserError
from taskct.metrics.image_quality import mse_hu2, rmse_hu
from taskct.names import check_import_name
from taskct.progress import Progress
from taskct.study.imports import NEEDED, TRAIN_TWINS, TWINS, add_import, digest_of_images, is_imported
from taskct.study.run_folder import RunFolder

LONGEST_SOFTWARE = 200


@dataclass(frozen=True)
class ImportOptions:
    """How images are taken.

    Raises
    ------
    UserError
        If a check is unknown, or a number is not finite.
    """

    software: str | None = None
    """What denoised them, in free text, at most 200 characters."""
    accept: tuple[str, ...] = ()
    """Checks, of `CHECKS`, whose faults are noted and taken."""
    scale: float = 1.0
    offset_hu: float = 0.0
    """HU = scale × value + offset, before the checks."""
    export: str | None = None
    """ID of the export, where the images do not tell it."""
    command: str | None = None
    """The user's command that made them, as one would type it; None where they came otherwise."""
    replace: bool = False
    """Whether images of this name that are there already are replaced."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.accept if name not in CHECKS]:
            raise UserError(f"--accept is {unknown[0]!r}: give one of {', '.join(CHECKS)}")
        if not (math.isfinite(self.scale) and self.scale and math.isfinite(self.offset_hu)):
            raise UserError(
                f"--scale is {self.scale:g} and --offset {self.offset_hu:g}: give finite numbers, scale not 0"
            )
        if self.software is not None and len(self.software) > LONGEST_SOFTWARE:
            raise UserError(f"--software has {len(self.software)} characters: give {LONGEST_SOFTWARE} at most")


@dataclass(frozen=True)
class Imported:
    """What was taken."""

    name: str
    n_images: int
    notes: tuple[str, ...]
    """What is to be known of it, faults that were accepted among them."""


def import_study(
    run: RunFolder,
    folder: Path,
    name: str,
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Imported:
    """Take denoised images of an export back, and make them the arm `import=NAME` of the run.

    Nothing is written unless all images of the export are there, once each, and pass the checks that `options` do not
    override. `progress` is called as (images read, images in all, what).

    Raises
    ------
    UserError
        If the run was not exported, its trials have changed since, or something is wrong with the images.
    """
    options = ImportOptions() if options is None else options
    try:
        check_import_name(name)
    except ValueError as error:
        raise UserError(f"--name: {error}") from None
    if is_imported(run, name) and not options.replace:
        raise UserError(f"{run.path} has images of {name} already: give another --name, or --replace")
    run.require("simulate")
    keys = read_keys(run.path)
    files = find_files(folder)
    collector = Collector(choose_key(keys, folder, files, options.export), folder)
    key = collector.key
    if lacking := [split for split in NEEDED if split not in key.splits]:
        raise UserError(
            f"the export {key.id} has no {' and no '.join(lacking)} images, and an evaluation needs them: export the "
            f"study again with --split {','.join(NEEDED)}"
        )
    trials = trials_of(run, tuple(key.splits))
    for split, found in trials.items():
        if digest_of_images(found.noisy) != key.low_dose_sha256[split]:
            raise UserError(
                f"{run.path}: the trials of {split} are not those that were exported ({key.id}); export them again"
            )
    for file in files:
        collector.add(file)
        if progress is not None:
            progress(len(collector.file_of), len(key.images), "read")
    collector.check_whole()
    if (options.scale, options.offset_hu) != (1.0, 0.0):
        for images in collector.images.values():
            images *= options.scale
            images += options.offset_hu
    order = sorted(key.images, key=lambda one: (list(key.splits).index(key.images[one].split), key.images[one].index))
    returned = Returned(
        low=np.concatenate([found.noisy for found in trials.values()]),
        reference=np.concatenate([found.reference for found in trials.values()]),
        denoised=np.concatenate(list(collector.images.values())),
        names=tuple(collector.file_of[one] for one in order),
        step_hu=key.step_hu,
        counted=np.array([key.images[one].split not in (TWINS, TRAIN_TWINS) for one in order]),
    )
    notes = _judged(examine(returned), options.accept, folder, acceptable=options.command is None)
    add_import(
        run.path,
        name,
        collector.images,
        _card(key, collector, returned, options, notes),
        replace_old=options.replace,
    )
    return Imported(name, len(key.images), tuple(notes))


def _judged(findings: dict[str, Finding], accept: tuple[str, ...], folder: Path, *, acceptable: bool) -> list[str]:
    """Notes on the images; a `UserError` for the first fault that is not accepted, which says how where one can."""
    notes = []
    for check, finding in findings.items():
        if finding.fault is not None and check not in accept:
            advice = f" (--accept {check} takes them as they are)" if acceptable else ""
            raise UserError(f"{folder}: {finding.fault}{advice}")
        notes += [f"accepted: {finding.fault}"] if finding.fault is not None else []
        notes += [finding.note] if finding.note is not None else []
    return notes


def _card(
    key: ExportKey, collector: Collector, returned: Returned, options: ImportOptions, notes: list[str]
) -> dict[str, Any]:
    """What is kept of how the images came and what was measured."""
    shift, error = returned.pairs.shift_px()
    scale = measure_scale(returned)
    some = returned.some
    return {
        "format": ", ".join(sorted(collector.kinds)),
        "software": options.software,
        "command": options.command,
        "export": key.id,
        "exported": key.created,
        "export_format": key.format,
        "step_hu": key.step_hu,
        "scale": options.scale,
        "offset_hu": options.offset_hu,
        "accepted": list(options.accept),
        "measured": {
            "shift_down_px": float(shift[0]),
            "shift_right_px": float(shift[1]),
            "shift_error_px": error,
            "slope": scale.slope,
            "slope_error": scale.error,
            "level_hu": scale.level,
            "agreement": returned.pairs.agreement,
            "rmse_low_dose_hu": rmse_hu(mse_hu2(returned.low[some], returned.reference[some])),
            "rmse_hu": rmse_hu(mse_hu2(returned.denoised[some], returned.reference[some])),
        },
        "notes": notes,
    }
