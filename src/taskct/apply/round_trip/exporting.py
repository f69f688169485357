"""Write the low-dose images of a study for a denoiser elsewhere: blinded, with a manifest; the key stays."""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct import __version__
from taskct.apply.round_trip.blinding import Group, StudyImage, blind
from taskct.apply.round_trip.key import ExportKey, write_key
from taskct.apply.round_trip.low_dose import DEFAULT_SPLITS, trials_of, wanted_splits
from taskct.apply.round_trip.manifest import MANIFEST, Row, write_manifest
from taskct.apply.round_trip.whole_slices import make_whole
from taskct.config import Settings
from taskct.errors import UserError
from taskct.files import whole_folder
from taskct.io.dicom_encoding import Encoding
from taskct.io.dicom_simulated import (
    SPACING_MM,
    NewSeries,
    ScanDescription,
    new_uid,
    position_mm,
    simulated_encoding,
    write_simulated,
)
from taskct.io.metaimage_write import write_mha
from taskct.io.nifti_write import write_stack
from taskct.progress import Progress
from taskct.study.imports import digest_of_images
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import Trials

FORMATS = {"dicom": ".dcm", "npy": ".npy", "nifti": ".nii.gz", "zarr": ".zarr", "mha": ".mha"}
"""By name: the ending of a file."""

SERIES_SLICES = 200
"""Of a DICOM series: at `SPACING_MM` it is as long as a patient at the most."""

STACK_BYTES = 2**29
"""Of a file that holds many images."""

STACK_IMAGES = 32000
"""Of a file that holds many images: NIfTI counts them in 16 bits."""

STEP_HU = (0.01, 16.0)
"""What a stored step of DICOM may be, HU."""

README = """Low-dose CT images for a denoiser
=================================

{n} images of {height} x {width} pixels of {pixel:g} mm, in HU, as {format}. They are simulated: nobody's.
Every image is a scan of its own: neighbours belong to different objects. Denoise each by itself.
Names and order tell nothing of what an image shows.

Bring back as many denoised images, in HU, of the same size and position, in any order and any of the formats
DICOM, NIfTI, MetaImage, .npy, .zarr or TIFF. What tells which is which: in DICOM the source image or the same UID;
elsewhere the same file name, or the manifest ({manifest}: file, index in it from 0, image).
{rescale}
    taskct import RUN FOLDER --name NAME        (export {id})
"""


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how.

    Raises
    ------
    UserError
        If the format is unknown, or the step out of its range.
    """

    splits: tuple[str, ...] = DEFAULT_SPLITS
    format: str = "dicom"
    """One of `FORMATS`."""
    whole: bool = False
    """Whole slices in place of the trials, which are cut from them when they come back."""
    stacks: bool = False
    """Every image a series, or a file, of its own."""
    step_hu: float = 1.0
    """DICOM: of stored values, HU, in `STEP_HU`. Rounding adds noise of 0.29 steps."""
    secret: str | None = None
    """What the names are drawn from; None draws it."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UserError(f"--format is {self.format}: give one of {', '.join(FORMATS)}")
        low, high = STEP_HU
        if not low <= self.step_hu <= high:
            raise UserError(f"--step-hu is {self.step_hu:g} HU: give {low:g} to {high:g} HU")


def export_study(
    run: RunFolder, folder: Path, options: ExportOptions | None = None, *, progress: Progress | None = None
) -> ExportKey:
    """Write the low-dose images of a run into a new folder, and their key into the run folder.

    Images of all splits are mixed, and named by a keyed random number. The folder holds a manifest and a README.
    `progress` is called as (images done, images in all, what).

    Raises
    ------
    UserError
        If the folder holds something, the run is not simulated, or its HU do not fit the step.
    """
    options = ExportOptions() if options is None else options
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not an empty folder; choose another, nothing is overwritten")
    splits = wanted_splits(options.splits)
    run.require("simulate")
    trials = trials_of(run, splits)
    with ExitStack() as stack:
        slices = None
        if options.whole:
            folder.parent.mkdir(parents=True, exist_ok=True)
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix=".taskct-whole-", dir=folder.parent))
            slices = make_whole(run, trials, Path(place), progress)
        made = _Export(run.settings, trials, options, slices)
        key = made.key()
        kept = key.path(run.path)
        try:
            with whole_folder(folder) as partial:
                rows = made.write(key, partial, progress)
                write_manifest(partial / MANIFEST, rows)
                (partial / "README.txt").write_text(made.readme(key), encoding="utf-8")
                write_key(run.path, key)
        except BaseException:
            kept.unlink(missing_ok=True)  # without its images it is a key to nothing
            raise
        return key


class _Export:
    """One export: names, groups and how a group is written."""

    def __init__(
        self,
        settings: Settings,
        trials: dict[str, Trials],
        options: ExportOptions,
        slices: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]] | None,
    ) -> None:
        self.settings, self.trials, self.options = settings, trials, options
        self.images = {split: found.noisy if slices is None else slices[split][0] for split, found in trials.items()}
        self.corners = None if slices is None else {split: corners for split, (_, corners) in slices.items()}
        first = next(iter(self.images.values()))
        self.shape = (int(first.shape[1]), int(first.shape[2]))
        self.secret = options.secret or secrets.token_hex(16)
        self.identity = hashlib.sha256(self.secret.encode()).hexdigest()[:8]
        self.places, self.groups = blind(
            self.secret, {split: len(found) for split, found in trials.items()}, self._group_size()
        )
        self.now = datetime.now(UTC)

    def _group_size(self) -> int:
        if self.options.stacks:
            return 1
        if self.options.format == "dicom":
            return SERIES_SLICES
        return int(max(min(STACK_BYTES // (4 * self.shape[0] * self.shape[1]), STACK_IMAGES), 1))

    @property
    def is_dicom(self) -> bool:
        return self.options.format == "dicom"

    def key(self) -> ExportKey:
        """What is kept of it."""
        positions = {
            name: (self._frame_uid(group), position_mm(place))
            for group in self.groups
            for place, name in enumerate(group.images)
        }
        return ExportKey(
            id=self.identity,
            created=self.now.isoformat(timespec="seconds"),
            version=__version__,
            format=self.options.format,
            step_hu=self.options.step_hu if self.is_dicom else 0.0,
            pixel_mm=self.settings.scanner.pixel_mm,
            shape=self.shape,
            window=None if self.corners is None else next(iter(self.trials.values())).noisy.shape[1],
            splits={split: len(found) for split, found in self.trials.items()},
            low_dose_sha256={split: digest_of_images(found.noisy) for split, found in self.trials.items()},
            groups=tuple(self.groups),
            images=self.places,
            uids={name: self._uid(name) for name in self.places} if self.is_dicom else {},
            positions=positions if self.is_dicom else {},
            corners={} if self.corners is None else {name: self._corner(name) for name in self.places},
        )

    def write(self, key: ExportKey, folder: Path, progress: Progress | None) -> list[Row]:
        """Write all groups, and give their rows of the manifest in the order of the names."""
        encoding = simulated_encoding(self.options.step_hu, *self._range()) if self.is_dicom else None
        rows: list[Row] = []
        for number, group in enumerate(self.groups, start=1):
            names = self._write_group(group, number, encoding, folder)
            for name, (file, index) in zip(group.images, names, strict=True):
                rows.append(self._row(name, file, index, encoding))
            if progress is not None:
                progress(len(rows), len(key.images), key.format)
        return rows

    def readme(self, key: ExportKey) -> str:
        """What whoever runs the box must know."""
        rescale = (
            f"Stored values are 16 bit: HU = RescaleSlope ({key.step_hu:g}) x value + RescaleIntercept.\n"
            if self.is_dicom
            else ""
        )
        return README.format(
            n=len(key.images),
            height=key.shape[0],
            width=key.shape[1],
            pixel=key.pixel_mm,
            format={"dicom": "DICOM, CT Image Storage"}.get(key.format, f"{FORMATS[key.format]} files of float32"),
            manifest=MANIFEST,
            rescale=rescale,
            id=key.id,
        )

    def _image(self, name: str) -> NDArray[np.float32]:
        place: StudyImage = self.places[name]
        return np.asarray(self.images[place.split][place.index], dtype=np.float32)

    def _corner(self, name: str) -> tuple[int, int]:
        place = self.places[name]
        row, column = (self.corners or {})[place.split][place.index]
        return int(row), int(column)

    def _images(self, group: Group) -> Iterator[NDArray[np.float32]]:
        return (self._image(name) for name in group.images)

    def _range(self) -> tuple[float, float]:
        """Lowest and highest HU."""
        parts = [images[at : at + 64] for images in self.images.values() for at in range(0, len(images), 64)]
        return min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)

    def _row(self, name: str, file: str, index: int, encoding: Encoding | None) -> Row:
        image, slope, intercept = self._image(name), 1.0, 0.0
        if encoding is not None:
            slope, intercept = encoding.slope, encoding.intercept
            image = (encoding.clipped(image) * slope + intercept).astype(np.float32)
        uid = self._uid(name) if self.is_dicom else ""
        return Row(file, index, name, digest_of_images(image), slope, intercept, uid, self.identity)

    def _write_group(
        self, group: Group, number: int, encoding: Encoding | None, folder: Path
    ) -> Sequence[tuple[str, int]]:
        """Write a group, and give the file and the place in it of every image."""
        if encoding is not None:
            series = NewSeries(
                name=group.name,
                number=number,
                uid=new_uid(self.secret, "series", group.name),
                frame_uid=self._frame_uid(group),
                slices=tuple((name, self._uid(name)) for name in group.images),
            )
            written = write_simulated(
                self._images(group), series, self._description(), encoding, folder / f"series-{group.name}"
            )
            return [(path.relative_to(folder).as_posix(), 0) for path in written]
        single = len(group.images) == 1
        out = folder / f"{group.images[0] if single else group.name}{FORMATS[self.options.format]}"
        shape, spacing = (len(group.images), *self.shape), (self.settings.scanner.pixel_mm, SPACING_MM)
        if self.options.format == "mha":
            write_mha(self._images(group), shape, spacing, out)
        else:
            stack: Any = np.stack(list(self._images(group)))
            if self.options.format == "nifti":
                write_stack(stack, spacing, out)
            elif self.options.format == "npy":
                np.save(out, stack, allow_pickle=False)
            else:
                import zarr  # not above: it takes long

                zarr.save_array(str(out), stack)
        return [(out.name, index) for index in range(len(group.images))]

    def _uid(self, name: str) -> str:
        return new_uid(self.secret, "image", name)

    def _frame_uid(self, group: Group) -> str:
        return new_uid(self.secret, "frame", group.name)

    def _description(self) -> ScanDescription:
        s = self.settings.scanner
        return ScanDescription(
            identity=self.identity.upper(),
            study_uid=new_uid(self.secret, "study"),
            date=self.now.strftime("%Y%m%d"),
            pixel_mm=s.pixel_mm,
            slice_mm=s.slice_mm or 1.0,
            kvp=float(s.kvp),
            kernel=s.filter,
            field_of_view_mm=max(self.shape) * s.pixel_mm,
            source_isocenter_mm=s.source_isocenter_mm,
            source_detector_mm=s.source_detector_mm,
            exposure_mas=s.mas * s.dose_fraction if s.exposure == "mas" else None,
        )
