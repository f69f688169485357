"""Read the CT volumes at a path, of DICOM or NIfTI, with the organ labels that belong to them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from taskct.errors import UserError
from taskct.io.dicom import naming, read_series
from taskct.io.dicom_header import is_dicom
from taskct.io.nifti import ENDINGS, read_label_map, read_label_volume, read_nifti
from taskct.io.paired import Pair, find_pairs, read_paired
from taskct.io.volume import Volume

AnyVolume = TypeVar("AnyVolume", bound=Volume)

_CORRECTED = re.compile(r"((_Tilt|_Eq)(_\d+)?)+$")
"""What dcm2niix appends to the names of its corrected copies."""


def read_volumes(path: Path, *, organs_path: Path | None = None) -> list[Volume]:
    """Read one or several CT volumes, in the order of their names.

    The path is a folder with one DICOM series; a folder of such folders; a `.nii` or `.nii.gz` file; or a folder of
    those. NIfTI files name no patient, so each counts as one of its own. Organ labels are a NIfTI file for one volume;
    for several, a folder with a NIfTI file for each, called like the series' folder or the volume's file.
    """
    sources = _sources(Path(path))
    labels = [None] * len(sources) if organs_path is None else _label_files(Path(organs_path), sources)
    volumes: list[Volume] = []
    for source, file in zip(sources, labels, strict=True):
        if source.is_file():
            volume = read_nifti(source)
        else:
            with naming(source):
                volume = read_series(source)
        volumes.append(_with_labels(volume, file))
    return volumes


def read_paired_volumes(folder: Path, *, organs_path: Path | None = None) -> list[Pair]:
    """Read paired series, as :func:`~taskct.io.paired.read_paired`, with organ labels on both.

    Parameters
    ----------
    organs_path
        A NIfTI file of labels on the grid of the pair's slices; for several pairs, a folder with a file for each,
        called like the folder that holds the normal-dose series, or like one above it.

    Raises
    ------
    UserError
        As the readers; if labels are missing.
    """
    pairs = read_paired(folder)
    if organs_path is None:
        return pairs
    normals = [normal_folder for _, normal_folder in find_pairs(folder)]
    files = _label_files(Path(organs_path), normals, below=Path(folder))
    return [
        Pair(_with_labels(pair.low, file), _with_labels(pair.normal, file))
        for pair, file in zip(pairs, files, strict=True)
    ]


def read_label_volumes(path: Path) -> list[Volume]:
    """Read the label maps of a NIfTI file, or of a folder of those, which stand for the CT themselves.

    The volumes come in the order of their names, with `labels`; their `image_hu` is the labels, which are no HU.

    Raises
    ------
    UserError
        No such path, no NIfTI in it, or as :func:`~taskct.io.nifti.read_label_volume`.
    """
    return [read_label_volume(source) for source in _sources(Path(path))]


def _sources(path: Path) -> list[Path]:
    if not path.exists():
        raise UserError(f"{path}: does not exist; give a folder with a CT series, or a NIfTI file (.nii, .nii.gz)")
    if path.is_file():
        return [path]
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    volumes = [entry for entry in entries if entry.is_file() and entry.name.lower().endswith(ENDINGS)]
    _check_copies(path, volumes)
    folders = [entry for entry in entries if entry.is_dir()]
    beside = any(is_dicom(entry) for entry in entries if entry.is_file() and entry.name != "DICOMDIR")
    if volumes and (folders or beside):
        raise UserError(f"{path}: NIfTI files beside {'DICOM files' if beside else 'folders'}; give one kind at a time")
    return volumes or (folders if len(folders) > 1 and not beside else [path])


def _check_copies(folder: Path, volumes: Sequence[Path]) -> None:
    """Refuse a volume beside a corrected copy that dcm2niix makes of a tilted or unevenly spaced series."""
    groups: dict[str, list[str]] = {}
    for volume in volumes:
        groups.setdefault(_CORRECTED.sub("", _stem(volume)), []).append(volume.name)
    for bare, names in groups.items():
        if len(names) > 1 and any(_CORRECTED.search(_stem(Path(name))) for name in names):
            best = max(names, key=lambda name: len(name) - len(bare))  # corrected most
            others = " and ".join(name for name in names if name != best)
            times = "twice" if len(names) == 2 else f"{len(names)} times"
            raise UserError(
                f"{folder}: {others} and {best} are one patient {times}, as dcm2niix corrects a gantry tilt or "
                f"uneven slices: keep {best}, and move {others} elsewhere"
            )


def _stem(path: Path) -> str:
    ending = next((ending for ending in reversed(ENDINGS) if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def _label_files(organs_path: Path, sources: Sequence[Path], *, below: Path | None = None) -> list[Path]:
    if organs_path.is_file() and len(sources) == 1:
        return [organs_path]
    if not organs_path.is_dir():
        found = "no such file or folder" if not organs_path.exists() else f"one file for {len(sources)} volumes"
        raise UserError(f"{organs_path}: {found}; give organ labels as NIfTI, one file for each volume in a folder")
    files = []
    for source in sources:
        n_parts = 1 if below is None else max(len(source.relative_to(below).parts), 1)
        names = [_stem(part) for part in [source, *source.parents][:n_parts]]
        places = (organs_path / f"{name}{ending}" for name in names for ending in ENDINGS)
        if (file := next((place for place in places if place.is_file()), None)) is None:
            wanted = " or ".join(f"{name}.nii.gz" for name in names)
            raise UserError(f"{organs_path}: no labels for {source.name}; expected {wanted}")
        files.append(file)
    return files


def _with_labels(volume: AnyVolume, file: Path | None) -> AnyVolume:
    return volume if file is None else replace(volume, labels=read_label_map(file, like=volume))
