"""The key of an export: which image is which. It stays in the run folder, at `exported/ID.json`."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from taskct.apply.round_trip.blinding import GROUP_NAME, IMAGE_NAME, Group, StudyImage
from taskct.errors import UserError
from taskct.files import write_json
from taskct.reading import read_json, reading
from taskct.study.imports import SHOWN

SCHEMA = 1
FOLDER = "exported"
ADVICE = "put back a copy, or export the study again"


@dataclass(frozen=True)
class ExportKey:
    """What was exported, and which image is which."""

    id: str
    """8 hexadecimal digits; the manifest has them too."""
    created: str
    """Date and time, ISO 8601."""
    version: str
    """Of taskct."""
    format: str
    step_hu: float
    """Of stored values, HU; 0 where they are float32."""
    pixel_mm: float
    shape: tuple[int, int]
    """Of the images that were written, pixels."""
    window: int | None
    """Side of the trial images that are cut from whole slices at import, pixels; None where trials were written."""
    splits: dict[str, int]
    """Images by split."""
    low_dose_sha256: dict[str, str]
    """Of the low-dose images of every split, float32, in the order of the trials."""
    groups: tuple[Group, ...]
    images: dict[str, StudyImage]
    """By name."""
    uids: dict[str, str]
    """DICOM: SOPInstanceUID by name; else empty."""
    positions: dict[str, tuple[str, float]]
    """DICOM: FrameOfReferenceUID and position along the axis, mm, by name; else empty."""
    corners: dict[str, tuple[int, int]]
    """Of whole slices: first row and column of the trial image in each, by name; else empty."""

    def path(self, run: Path) -> Path:
        """Where it stands in a run folder."""
        return run / FOLDER / f"{self.id}.json"


def write_key(run: Path, key: ExportKey) -> Path:
    """Write a key into a run folder, and give its path."""
    content = {"schema": SCHEMA, **asdict(key)}
    content["images"] = {name: [place.split, place.index] for name, place in key.images.items()}
    write_json(key.path(run), content)
    return key.path(run)


def read_keys(run: Path) -> list[ExportKey]:
    """All keys of a run folder, in the order of their names; a `UserError` if one is broken or there is none."""
    keys = [read_key(path) for path in sorted((run / FOLDER).glob("*.json"))]
    if not keys:
        raise UserError(f"{run} was not exported: `taskct export {run} DIR` writes its images first")
    return keys


def read_key(path: Path) -> ExportKey:
    """Read a key; a `UserError` if it is none."""
    content = read_json(path, "the key of an export", ADVICE)
    with reading(path, "the key of an export", ADVICE):
        key = _key(content)
        _check(key)
    return key


def _key(content: Any) -> ExportKey:  # noqa: ANN401 - JSON's kinds
    if content["schema"] != SCHEMA or set(content) != {"schema", *(field.name for field in fields(ExportKey))}:
        raise ValueError("another schema")
    height, width = (int(n) for n in content["shape"])
    return ExportKey(
        id=str(content["id"]),
        created=str(content["created"]),
        version=str(content["version"]),
        format=str(content["format"]),
        step_hu=float(content["step_hu"]),
        pixel_mm=float(content["pixel_mm"]),
        shape=(height, width),
        window=None if content["window"] is None else int(content["window"]),
        splits={str(split): int(n) for split, n in content["splits"].items()},
        low_dose_sha256={str(split): str(digest) for split, digest in content["low_dose_sha256"].items()},
        groups=tuple(Group(str(group["name"]), tuple(map(str, group["images"]))) for group in content["groups"]),
        images={str(name): StudyImage(str(split), int(index)) for name, (split, index) in content["images"].items()},
        uids={str(name): str(uid) for name, uid in content["uids"].items()},
        positions={str(name): (str(uid), float(z)) for name, (uid, z) in content["positions"].items()},
        corners={str(name): (int(row), int(column)) for name, (row, column) in content["corners"].items()},
    )


def _check(key: ExportKey) -> None:
    """A `ValueError` if it contradicts itself."""
    places = {(place.split, place.index) for place in key.images.values()}
    if not (
        set(key.splits) <= set(SHOWN)
        and set(key.low_dose_sha256) == set(key.splits)
        and places == {(split, index) for split, n in key.splits.items() for index in range(n)}
        and len(places) == len(key.images) == sum(len(group.images) for group in key.groups) > 0
        and {name for group in key.groups for name in group.images} == set(key.images)
        and all(IMAGE_NAME.fullmatch(name) for name in key.images)
        and all(GROUP_NAME.fullmatch(group.name) for group in key.groups)
        and all(set(told) in (set(), set(key.images)) for told in (key.uids, key.positions, key.corners))
        and (key.window is None) == (not key.corners)
        and min(key.shape) > 0
        and key.pixel_mm > 0
        and key.step_hu >= 0
    ):
        raise ValueError("contradicts itself")
    if key.window is not None and not all(
        row >= 0 and column >= 0 and row + key.window <= key.shape[0] and column + key.window <= key.shape[1]
        for row, column in key.corners.values()
    ):
        raise ValueError("a window lies outside its slice")
