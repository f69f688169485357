"""The backgrounds of every split, from the settings of a study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.errors import UserError
from taskct.io.nifti import ORGANS, organ_mask
from taskct.io.volume import Volume
from taskct.io.volume_files import read_label_volumes, read_paired_volumes, read_volumes
from taskct.tasks.background_registry import BACKGROUNDS, make_background
from taskct.tasks.backgrounds import Background, LabelMap, Slices, Tissue
from taskct.trials.trials import SPLITS

SAME_PITCH = 1e-4  # relative; over 500 pixels a twentieth of one


@dataclass(frozen=True)
class Source:
    """The backgrounds of one split."""

    split: str
    background: Background
    n_objects: int
    """Objects to draw; the split's trials are shared out evenly among them."""
    case_kind: str
    """What no two splits share: "phantoms", "slices" or "patients"."""
    n_images: int
    """Distinct phantoms or slices among the objects."""
    n_without_organ: int = 0
    """Slices of all splits that are left out since they hold nothing of the organ."""


def files_of(settings: Settings) -> list[Path]:
    """Files and folders of the user's that the trials are made of; they may be missing."""
    b = settings.background
    own_layout = b.layout if b.kind == "phantom" and Path(b.layout).suffix else None
    return [Path(path) for path in (b.path, b.organs_path, own_layout) if path is not None]


def trials_wanted(settings: Settings) -> dict[str, int]:
    """Trials to simulate, by split."""
    return {name: int(getattr(settings.trials, f"n_{name}")) for name in SPLITS}


def shown_as_they_are(settings: Settings) -> bool:
    """Whether the study's images are real ones, not scanned again: noise inserted into a series, or paired doses."""
    return BACKGROUNDS[settings.background.kind].files == "pairs" or settings.scanner.acquisition == "insertion"


def check_pitch(pixel_mm: tuple[float, float], settings: Settings) -> None:
    """Refuse grids onto which images that are kept as they are would have to be interpolated.

    That is unless their pixels (row and column spacing, mm) are square, and those of the object and of the regions.
    """
    s, (row_mm, column_mm) = settings.scanner, pixel_mm
    if not np.isclose(row_mm, column_mm, rtol=SAME_PITCH):
        raise UserError(f"pixels of {row_mm:g} × {column_mm:g} mm: images that are kept as they are need square ones")
    if not np.allclose([s.object_pixel_mm, s.pixel_mm], row_mm, rtol=SAME_PITCH):
        raise UserError(
            f"the images are kept as they are, so both grids must have their pixels: set scanner.object_pixel_mm and "
            f"scanner.pixel_mm to {row_mm:.8g} mm (they are {s.object_pixel_mm:g} and {s.pixel_mm:g} mm)"
        )


def make_sources(settings: Settings) -> dict[str, Source]:
    """The backgrounds of every split.

    Phantoms: a new one for every trial. Images and label maps: blocks of neighbouring slices (slices side by side look
    alike), or whole patients where there are several. A UserError, if files are missing or do not fit, or there are too
    few slices for four splits.
    """
    b, wanted = settings.background, trials_wanted(settings)
    if BACKGROUNDS[b.kind].files:
        if b.path is None:
            raise UserError(f"background.kind is {b.kind} but background.path is not set: --set background.path=FOLDER")
        return _stack_sources(settings, Path(b.path), wanted)
    first = np.concatenate([[0], np.cumsum(list(wanted.values()))])
    values, s = {name: getattr(b, name) for name in type(b).model_fields}, settings.scanner
    sources = {}
    for start, (name, n) in zip(first, wanted.items(), strict=False):
        background = make_background(
            b.kind, values, n_pixels=s.object_pixels, pixel_mm=s.object_pixel_mm, first_case=int(start)
        )
        sources[name] = Source(name, background, n, "phantoms", n)
    return sources


@dataclass(frozen=True)
class _Stack:
    """Slices of one pixel size, with what is known of each."""

    image_hu: NDArray[np.float32]
    pixel_mm: tuple[float, float]
    patient: NDArray[np.int64]
    labels: NDArray[np.uint16] | None
    noisy_hu: NDArray[np.float32] | None


def _read_stack(settings: Settings, path: Path) -> _Stack:
    b = settings.background
    organs = None if b.organs_path is None else Path(b.organs_path)
    noisy = None
    files = BACKGROUNDS[b.kind].files
    if files == "pairs":
        pairs = read_paired_volumes(path, organs_path=organs)
        volumes: list[Volume] = [pair.normal for pair in pairs]
        noisy = [pair.low.image_hu for pair in pairs]
    elif files == "labels":
        volumes = read_label_volumes(path)
    else:
        volumes = read_volumes(path, organs_path=organs)
    first = volumes[0]
    for one in volumes:
        same = np.allclose(one.pixel_mm, first.pixel_mm) and one.image_hu.shape[1:] == first.image_hu.shape[1:]
        if not same:
            raise UserError(f"the series in {path.name} differ in pixel size or matrix: use series of one kind")
    names = list(dict.fromkeys(one.patient_key for one in volumes))
    labels = [one.labels for one in volumes if one.labels is not None]
    return _Stack(
        image_hu=np.concatenate([one.image_hu for one in volumes]),
        pixel_mm=first.pixel_mm,
        patient=np.repeat([names.index(one.patient_key) for one in volumes], [len(one.image_hu) for one in volumes]),
        labels=np.concatenate(labels) if labels else None,
        noisy_hu=None if noisy is None else np.concatenate(noisy),
    )


def _stack_sources(settings: Settings, path: Path, wanted: dict[str, int]) -> dict[str, Source]:
    b, s = settings.background, settings.scanner
    stack = _read_stack(settings, path)
    organ = None
    if b.organ is not None:
        if stack.labels is None:
            raise UserError("background.organ is set but there are no labels: give them by background.organs_path")
        organ = organ_mask(stack.labels, [int(b.organ) if b.organ.isdecimal() else b.organ])
    elif settings.signal.site == "organ":
        raise UserError("signal.site is organ: say which by background.organ (a name or a label's number)")
    if shown_as_they_are(settings):
        check_pitch(stack.pixel_mm, settings)
    # Where the lesion lies in an organ, slices without it are of no use.
    useful = np.arange(len(stack.image_hu))
    if organ is not None and settings.signal.site == "organ":
        useful = np.flatnonzero(organ.any(axis=(1, 2)))
    n_without = len(stack.image_hu) - len(useful)
    # What is kept apart between the splits: patients, or the slices of the only one.
    patients = len(np.unique(stack.patient[useful])) > 1
    groups = np.unique(stack.patient[useful], return_inverse=True)[1] if patients else np.arange(len(useful))
    blocks = split_groups(int(groups.max()) + 1, wanted)
    sources = {}
    for name, members in blocks.items():
        here = np.isin(groups, members)
        chosen = useful[here]
        grid: dict[str, Any] = {
            "pixel_mm": stack.pixel_mm,
            "case": groups[here].astype(np.int64),
            "n_pixels": s.object_pixels,
            "object_pixel_mm": s.object_pixel_mm,
            "shift_mm": b.shift_mm,
        }
        background: Background
        if BACKGROUNDS[b.kind].files == "labels" and stack.labels is not None:
            tissues = {k: Tissue(t.hu, t.std_hu, t.texture_hu) for k, t in b.organs.items()}
            number = None if b.organ is None else _label_number(b.organ)
            background = LabelMap(labels=stack.labels[chosen], tissues=tissues, organ=number, **grid)
        else:
            background = Slices(
                image_hu=stack.image_hu[chosen],
                organ=None if organ is None else organ[chosen],
                noisy_hu=None if stack.noisy_hu is None else stack.noisy_hu[chosen],
                as_they_are=shown_as_they_are(settings),
                **grid,
            )
        n_objects = min(len(chosen) * b.placements, wanted[name])
        sources[name] = Source(
            name, background, n_objects, "patients" if patients else "slices", len(chosen), n_without
        )
    return sources


def _label_number(organ: str) -> int:
    if organ.isdecimal():
        return int(organ)
    if organ not in ORGANS:
        raise UserError(f"organ {organ} is unknown: give its label number, or one of {', '.join(ORGANS)}")
    return ORGANS[organ]


def split_groups(n_groups: int, wanted: dict[str, int]) -> dict[str, NDArray[np.int64]]:
    """Share out neighbouring groups (slices or patients) in proportion to the square root of the trials wanted.

    Given are group numbers by split, each a contiguous block of at least one; a UserError, if there are too few groups.
    """
    if n_groups < len(wanted):
        raise UserError(
            f"{n_groups} slices or patients cannot fill {len(wanted)} splits with none in two: "
            f"give {len(wanted)} or more"
        )
    weight = np.sqrt(np.array(list(wanted.values()), dtype=float))
    ends = np.round(np.cumsum(weight) / weight.sum() * n_groups).astype(int)
    for i in range(len(ends)):  # at least one each, from the front and from the back
        ends[i] = max(ends[i], i + 1)
        ends[i] = min(ends[i], n_groups - (len(ends) - 1 - i))
    starts = np.concatenate([[0], ends[:-1]])
    return {name: np.arange(a, b) for name, a, b in zip(wanted, starts, ends, strict=True)}
