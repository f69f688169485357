"""Images that came back: found in a folder, in any order and format, and told apart."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from taskct.apply.round_trip.blinding import GROUP_NAME, IMAGE_NAME
from taskct.apply.round_trip.key import ExportKey
from taskct.apply.round_trip.manifest import MANIFEST, read_manifest
from taskct.errors import UserError
from taskct.io.dicom_header import kind_of, read_header, reading_dicom, tolerant
from taskct.io.image_stack import ImageStack, read_images
from taskct.reading import check_regular
from taskct.zarr_guard import NODES

ENDINGS = (".npy", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".tif", ".tiff", ".png", ".dcm")
"""Of files of images; DICOM needs none."""

SAME_PIXEL = 0.005
"""How far a pixel may be off that of the export, as a fraction."""

POSITION_MM = 0.05


@dataclass(frozen=True)
class ReturnedSlice:
    """What the header of a DICOM slice says of which one it is."""

    uid: str
    sources: tuple[str, ...]
    """SOPInstanceUIDs that it refers to as what it was made from."""
    frame_uid: str
    position_mm: float | None
    """Along the axis of the patient."""


@dataclass(frozen=True)
class ReturnedFile:
    """A file of images, or a Zarr store."""

    path: Path
    name: str
    """Relative to the folder."""
    header: ReturnedSlice | None
    """Of DICOM."""


def find_files(folder: Path) -> list[ReturnedFile]:
    """All images in a folder and below it, in the order of their names.

    Hidden files, and files that are no images by their ending and bear no DICOM mark, are passed over; of DICOM also
    scouts, reports and what else holds no slices.

    Raises
    ------
    UserError
        If there is no such folder, or no image in it, or a header cannot be read.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file; give the folder that holds the denoised images")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the denoised images")
    found = []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or (path.name.lower().endswith(ENDINGS) and path.suffix.lower() != ".dcm"):
            found.append(ReturnedFile(path, name, None))
        elif (header := _slice(path, name)) is not None:
            found.append(ReturnedFile(path, name, header))
    if not found:
        raise UserError(f"{folder}: no image in it; give DICOM, NIfTI, MetaImage, .npy, .zarr or TIFF files")
    return found


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files and Zarr stores in a folder and below it; a link to a folder above is passed over."""
    above |= {folder.resolve()}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        check_regular(entry, entry.name)
        if not entry.is_dir() or any((entry / node).is_file() for node in NODES):
            yield entry
        elif entry.resolve() not in above:
            yield from _walk(entry, above)


@tolerant()
def _slice(path: Path, name: str) -> ReturnedSlice | None:
    """What a file says if it is a DICOM slice, or an image that nobody takes for one; None for what is passed over."""
    with reading_dicom(name):
        header = read_header(path, name)
        if header is None or kind_of(header, name) in ("none", "beside", "localizer"):
            return None
        return ReturnedSlice(
            uid=_text(header, "SOPInstanceUID"),
            sources=tuple(
                uid
                for sequence in ("SourceImageSequence", "ReferencedImageSequence")
                for item in header.get(sequence) or []
                if (uid := _text(item, "ReferencedSOPInstanceUID"))
            ),
            frame_uid=_text(header, "FrameOfReferenceUID"),
            position_mm=_position(header),
        )


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()


def _position(dataset: Dataset) -> float | None:
    try:
        z = float(dataset.ImagePositionPatient[2])
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return z if np.isfinite(z) else None


class Matcher:
    """Tells which images of an export the images of a file are."""

    def __init__(self, key: ExportKey, manifest: Mapping[tuple[str, int], str]) -> None:
        self.key, self.manifest = key, manifest
        self.by_uid = {uid: name for name, uid in key.uids.items()}
        self.groups = {group.name: group for group in key.groups}
        self.frames = {uid for uid, _ in key.positions.values()}
        self.by_place = {(uid, round(z / POSITION_MM)): name for name, (uid, z) in key.positions.items()}

    def names(self, file: ReturnedFile, n_images: int) -> tuple[str, ...] | None:
        """Names of the images of a file, in order; None where nothing tells.

        In this order: what a DICOM slice was made from, its own UID; the manifest; the name of an image or of a group
        in the file's path; the position of a slice; the only group, if it has as many images.
        """
        if file.header is not None and (name := self._referred(file.header)) is not None:
            return (name,)
        listed = [self.manifest.get((file.name, index)) for index in range(n_images)]
        told = [name for name in listed if name in self.key.images]
        if len(told) == n_images:
            return tuple(name for name in told if name is not None)
        if n_images == 1 and (name := self._named(file.name)) is not None:
            return (name,)
        if file.header is not None:
            name = self._placed(file.header)
            return None if name is None else (name,)
        groups = [self.groups[token] for token in GROUP_NAME.findall(file.name) if token in self.groups]
        groups = groups[-1:] or (list(self.groups.values()) if len(self.groups) == 1 else [])
        return groups[0].images if groups and len(groups[0].images) == n_images else None

    def knows(self, file: ReturnedFile) -> bool:
        """Whether a name or a UID of a file is of this export."""
        if file.header is not None and self._referred(file.header) is not None:
            return True
        tokens = [*IMAGE_NAME.findall(file.name), *GROUP_NAME.findall(file.name)]
        return any(token in self.key.images or token in self.groups for token in tokens)

    def _referred(self, header: ReturnedSlice) -> str | None:
        sources = {self.by_uid[uid] for uid in header.sources if uid in self.by_uid}
        return sources.pop() if len(sources) == 1 else self.by_uid.get(header.uid)

    def _named(self, file: str) -> str | None:
        known = [token for token in IMAGE_NAME.findall(file) if token in self.key.images]
        return known[-1] if known else None

    def _placed(self, header: ReturnedSlice) -> str | None:
        if header.position_mm is None or not self.frames:
            return None
        frame = header.frame_uid if header.frame_uid in self.frames or len(self.frames) > 1 else next(iter(self.frames))
        return self.by_place.get((frame, round(header.position_mm / POSITION_MM)))


def choose_key(keys: list[ExportKey], folder: Path, files: list[ReturnedFile], export: str | None) -> Matcher:
    """The export that images came back from: the one named, that of the manifest, or the one that knows the files.

    Raises
    ------
    UserError
        If there is none, or several may be meant.
    """
    manifest: Mapping[tuple[str, int], str] = {}
    told = export
    if (folder / MANIFEST).is_file():
        manifest, of = read_manifest(folder / MANIFEST)
        told = told or of
    known = ", ".join(key.id for key in keys)
    if told:
        chosen = [key for key in keys if key.id == told]
        if not chosen:
            source = "--export" if export else f"{folder / MANIFEST}"
            raise UserError(
                f"{source} names the export {told}, and this run has {known}: another study's images; give this run's"
            )
        return Matcher(chosen[0], manifest)
    matchers = [Matcher(key, manifest) for key in keys]
    meant = [matcher for matcher in matchers if any(matcher.knows(file) for file in files[:100])]
    if not meant and len(matchers) == 1:
        return matchers[0]
    if len(meant) != 1:
        found = "several exports" if meant else "no export of this run"
        raise UserError(f"{folder}: the images are of {found} ({known}); say which by --export ID, or bring {MANIFEST}")
    return meant[0]


class Collector:
    """Images of an export as they come in, by split, in the order of the trials."""

    def __init__(self, matcher: Matcher, folder: Path) -> None:
        self.matcher, self.folder, key = matcher, folder, matcher.key
        self.key = key
        side = key.shape if key.window is None else (key.window, key.window)
        self.images = {split: np.empty((n, *side), dtype=np.float32) for split, n in key.splits.items()}
        self.file_of: dict[str, str] = {}
        self.kinds: set[str] = set()

    def add(self, file: ReturnedFile) -> None:
        """Take the images of a file.

        Raises
        ------
        UserError
            If they are of another size, nobody can tell which they are, or one is there already.
        """
        stack = read_images(file.path)
        self._check_size(file, stack)
        names = self.matcher.names(file, len(stack.images))
        if names is None:
            held = "an image" if len(stack.images) == 1 else f"{len(stack.images)} images"
            raise UserError(
                f"{self.folder}: {file.name} holds {held}, and nothing tells which of the export {self.key.id}: bring "
                f"back the names it went out with, or a {MANIFEST} (file, index, image); another study's, take it away"
            )
        for name, image in zip(names, stack.images, strict=True):
            if name in self.file_of:
                raise UserError(
                    f"{self.folder}: the image {name} is there twice, in {self.file_of[name]} and {file.name}; take "
                    "one away"
                )
            self.file_of[name] = file.name
            place = self.key.images[name]
            self.images[place.split][place.index] = self._cut(name, image)
        self.kinds.add("DICOM" if file.header is not None else re.sub(r".*?(\.nii\.gz|\.[^.]*)$", r"\1", file.name))

    def _cut(self, name: str, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.key.window is None:
            return image
        row, column = self.key.corners[name]
        return image[row : row + self.key.window, column : column + self.key.window]

    def _check_size(self, file: ReturnedFile, stack: ImageStack) -> None:
        height, width = stack.images.shape[1:]
        if (height, width) != self.key.shape:
            raise UserError(
                f"{self.folder}: {file.name} has {height} × {width} pixels, and {self.key.shape[0]} × "
                f"{self.key.shape[1]} went out: resampled or cut; have the images back as they went out"
            )
        pixel = stack.pixel_mm
        if pixel is not None and abs(pixel / self.key.pixel_mm - 1) > SAME_PIXEL:
            if file.header is None and pixel == 1.0:  # what formats without a size say
                return
            raise UserError(
                f"{self.folder}: {file.name} has pixels of {pixel:g} mm, and {self.key.pixel_mm:g} mm went out: "
                "resampled; have the images back as they went out"
            )

    def check_whole(self) -> None:
        """Refuse if images are missing."""
        missing = [name for name in self.key.images if name not in self.file_of]
        if missing:
            some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            raise UserError(
                f"{self.folder}: {len(missing)} of {len(self.key.images)} images are missing ({some}); bring all of "
                "them back"
            )
