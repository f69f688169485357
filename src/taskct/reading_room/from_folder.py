"""A reading study's cases from a folder of images: `DIR/ARM/present/` and `DIR/ARM/absent/`.

The same cases stand in every arm. `DIR/lesions.csv` may tell places, `DIR/truth.csv` places and patients;
`DIR/training/present/` and `DIR/training/absent/` hold training examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.dicom import naming
from taskct.io.image_stack import ImageStack, read_images
from taskct.io.truth_table import Truth, read_truth
from taskct.reading_room.cases import CaseImages, Material, whole_hu
from taskct.reading_room.design import LOCATED, ReadingPlan, Share, draw_cases, share_of, training_share
from taskct.reading_room.key import Lesion
from taskct.reading_room.lesion_table import groups_of, read_lesions
from taskct.seeds import derive_seed

PRESENT, ABSENT = "present", "absent"
TRAINING = "training"
TRUTH, LESIONS = "truth.csv", "lesions.csv"

N_TRAINING = 10
"""Training trials at most, where nobody says how many."""

FORM = "give DIR/ARM/present/ and DIR/ARM/absent/ with images, the same cases in every arm"


def material_of_folder(
    path: Path, plan: ReadingPlan, arms: Sequence[str] = (), *, pixel_mm: float | None = None
) -> Material:
    """Cases of a folder of images for a plan.

    Parameters
    ----------
    path
        With a folder for each arm, and in it the folders `present` and `absent` of images of any kind that
        `taskct.io.image_stack.read_images` reads. A case is a file's name without its ending, or its number in the one
        file of a folder; a sub-folder is a background (a patient). `truth.csv` and `lesions.csv` name images of the
        first arm as in `present/a.npy`, see `taskct.io.truth_table.read_truth` and `read_lesions`.
    plan
        What the organiser decided.
    arms
        Names of folders; none for all.
    pixel_mm
        Side of a pixel, mm, where the files do not tell it.

    Raises
    ------
    UserError
        If a class is missing, cases or sizes differ between arms, an image cannot be shown, or there are too few.
    """
    names = _arm_names(path, arms)
    sides = {name: _Side.read(path / name) for name in names}
    first = sides[names[0]]
    for name, side in sides.items():
        _check_same_cases(names[0], first, name, side)
    counts = len(first.names[PRESENT]), len(first.names[ABSENT])
    share = share_of(plan, *counts, None)
    present = np.arange(sum(counts)) < counts[0]
    index = draw_cases(present, share, np.random.default_rng(derive_seed(plan.seed, "reading", "cases")))
    cases = _cases(sides, _Known.read(path, first), index)
    training, notes = _training(path, plan, first)
    if share.n_sets * (plan.n_alternatives - 1) > share.n_absent:
        notes.append(
            f"{share.n_absent} images without a signal are too few for {share.n_sets} trials: some are shown more than "
            "once in each arm, readers may know them again, and intervals take the trials as independent"
        )
    left = sum(counts) - len(index)
    if left:
        notes.append(f"{left} of {sum(counts)} cases are not read")
    return Material(
        cases=cases,
        training=training,
        pixel_mm=_pixel_mm(sides, pixel_mm),
        window_hu=_window_hu(cases),
        source=f"images of the folder {path.resolve().name}",
        notes=tuple(notes),
    )


def _arm_names(path: Path, arms: Sequence[str]) -> list[str]:
    known = sorted(
        entry.name
        for entry in path.iterdir()
        if entry.is_dir() and entry.name != TRAINING and any((entry / one).is_dir() for one in (PRESENT, ABSENT))
    )
    if not known:
        raise UserError(f"{path} is no run, no reading study and no folder of arms: {FORM}")
    for name in arms:
        if name not in known:
            raise UserError(f"--arms: {path} has no arm {name!r}; its arms are {', '.join(known)}")
        if list(arms).count(name) > 1:
            raise UserError(f"--arms: the arm {name!r} is named twice")
    return list(arms) or known


@dataclass(frozen=True)
class _Side:
    """The images of one arm by class."""

    path: Path
    stacks: dict[str, ImageStack]
    names: dict[str, list[str]]
    """Of the cases of each class, sorted."""
    order: dict[str, list[int]]
    """The image of each case in its stack."""

    @classmethod
    def read(cls, path: Path) -> "_Side":
        stacks, names, order = {}, {}, {}
        for of_class in (PRESENT, ABSENT):
            if not (path / of_class).is_dir():
                raise UserError(f"{path} has no folder {of_class}: {FORM}")
            with naming(path / of_class):
                stack = read_images(path / of_class)
            found = _case_names(stack)
            if twice := next((name for name in found if found.count(name) > 1), None):
                raise UserError(f"{path / of_class}: two images are called {twice!r}: give each case a name of its own")
            stacks[of_class] = stack
            order[of_class] = sorted(range(len(found)), key=found.__getitem__)
            names[of_class] = [found[place] for place in order[of_class]]
        sizes = {one.images.shape[1:] for one in stacks.values()}
        if len(sizes) > 1:
            raise UserError(
                f"{path}: images of {PRESENT} and {ABSENT} are of {_sizes(stacks)}: give images of one size"
            )
        return cls(path, stacks, names, order)

    @property
    def images(self) -> NDArray[np.float32]:
        """Of all cases, those with a signal first."""
        return np.concatenate([self.stacks[one].images[self.order[one]] for one in (PRESENT, ABSENT)])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        height, width = self.stacks[PRESENT].images.shape[1:]
        return height, width

    @property
    def files(self) -> list[str]:
        """What each image is called, as a truth table names it."""
        return [f"{one}/{self.stacks[one].names[place]}" for one in (PRESENT, ABSENT) for place in self.order[one]]

    @property
    def case_names(self) -> list[str]:
        """Of all cases, with their class, as a name may stand in both."""
        return [f"{one}/{name}" for one in (PRESENT, ABSENT) for name in self.names[one]]

    @property
    def folders(self) -> list[str]:
        """Sub-folder of each case."""
        return [self.stacks[one].origins[place].folder for one in (PRESENT, ABSENT) for place in self.order[one]]


def _case_names(stack: ImageStack) -> list[str]:
    files = {origin.name for origin in stack.origins}
    if len(files) == 1 and len(stack.origins) > 1:
        return [f"{origin.number:06d}" for origin in stack.origins]
    return [o.name if o.number is None else f"{o.name}[{o.number:06d}]" for o in stack.origins]


def _sizes(stacks: dict[str, ImageStack]) -> str:
    return " and ".join(f"{one.images.shape[1]} × {one.images.shape[2]} pixels" for one in stacks.values())


def _check_same_cases(name: str, mine: _Side, other: str, its: _Side) -> None:
    for of_class in (PRESENT, ABSENT):
        a, b = set(mine.names[of_class]), set(its.names[of_class])
        if a != b:
            lacking, case = (other, min(a - b)) if a - b else (name, min(b - a))
            raise UserError(
                f"{mine.path.parent}: cases differ between arms: {lacking} has no {of_class}/{case}, which "
                f"{name if lacking == other else other} has; give the same cases in every arm, by the same names"
            )
    shapes = [side.shape for side in (mine, its)]
    if shapes[0] != shapes[1]:
        text = [f"{height} × {width}" for height, width in shapes]
        raise UserError(f"{mine.path.parent}: {name} has images of {text[0]} pixels and {other} of {text[1]}")


@dataclass(frozen=True)
class _Known:
    """What is known of each case of a folder."""

    present: NDArray[np.bool_]
    lesions: list[tuple[Lesion, ...]]
    backgrounds: list[str]

    @classmethod
    def read(cls, path: Path, first: _Side) -> "_Known":
        truth = _truth(path, first)
        present = np.arange(len(first.files)) < len(first.names[PRESENT])
        backgrounds = first.folders
        if truth is not None and truth.cases is not None:
            backgrounds = [f"case {number}" for number in truth.cases]
        lesions: list[tuple[Lesion, ...]] = [()] * len(present)
        if truth is not None and truth.centres_px is not None:
            lesions = [
                (Lesion(float(row), float(column)),) if p else ()
                for (row, column), p in zip(truth.centres_px, present, strict=True)
            ]
        if (path / LESIONS).exists():
            if any(lesions):
                raise UserError(
                    f"{path}: {LESIONS} and {TRUTH} both tell places: leave row_px and column_px out of one"
                )
            told = read_lesions(path / LESIONS, first.files[: int(present.sum())], first.shape)
            lesions = [told.get(name, ()) for name in first.files]
        return cls(present, lesions, backgrounds)


def _truth(path: Path, first: _Side) -> Truth | None:
    """What `truth.csv` says of each case, if it is there."""
    file = path / TRUTH
    if not file.exists():
        return None
    truth = read_truth(file, first.files)
    n_present = len(first.names[PRESENT])
    wrong = np.flatnonzero(truth.signal_present != (np.arange(len(first.files)) < n_present))
    if len(wrong):
        raise UserError(f"{file}: signal_present of {first.files[wrong[0]]!r} is not what its folder says")
    height, width = first.shape
    if truth.centres_px is not None:
        sides = np.array([height, width])
        outside = np.flatnonzero(((truth.centres_px < -0.5) | (truth.centres_px > sides - 0.5)).any(axis=1))
        if len(outside):
            raise UserError(
                f"{file}: the place of {first.files[outside[0]]!r} is outside its image: rows go from 0 to "
                f"{height - 1}, columns from 0 to {width - 1}"
            )
    return truth


def _cases(sides: dict[str, _Side], known: "_Known", index: NDArray[np.int64]) -> CaseImages:
    first = next(iter(sides.values()))
    names = first.case_names
    lesions = tuple(known.lesions[case] for case in index)
    return CaseImages(
        images={name: whole_hu(side.images[index], f"the arm {name}") for name, side in sides.items()},
        names=tuple(names[case] for case in index),
        present=known.present[index],
        lesions=lesions,
        backgrounds=tuple(known.backgrounds[case] for case in index),
        groups=groups_of(lesions),
    )


def _training(path: Path, plan: ReadingPlan, first: _Side) -> tuple[CaseImages | None, list[str]]:
    """Training examples, if there are some, and what the organiser should know."""
    place = path / TRAINING
    if not place.is_dir():
        if plan.n_training:
            raise UserError(
                f"--training needs examples: give {place}/{PRESENT}/ and {place}/{ABSENT}/, or leave it out"
            )
        return None, [f"there is no training, since there is no folder {place}/ with {PRESENT}/ and {ABSENT}/"]
    side = _Side.read(place)
    if side.shape != first.shape:
        raise UserError(f"{place}: training images are of another size than the others")
    counts = len(side.names[PRESENT]), len(side.names[ABSENT])
    share: Share = training_share(plan, *counts, N_TRAINING)
    if not share.n_present:
        if plan.n_training == 0:
            return None, []
        return None, [
            f"there is no training: {counts[0]} examples with a signal and {counts[1]} without are too few for a "
            f"trial of {plan.design}"
        ]
    present = np.arange(sum(counts)) < counts[0]
    index = draw_cases(present, share, np.random.default_rng(derive_seed(plan.seed, "reading", "training")))
    training = _cases({TRAINING: side}, _Known.read(place, side), index)
    notes = []
    if plan.design in LOCATED and not any(training.lesions):
        notes.append(f"training cannot show where signals are: give {place / LESIONS} with their places")
    return training, notes


def _pixel_mm(sides: dict[str, _Side], given: float | None) -> float | None:
    if given is not None:
        return given
    told = {stack.pixel_mm for side in sides.values() for stack in side.stacks.values() if stack.pixel_mm is not None}
    if told and max(told) > min(told) * 1.001:
        raise UserError(f"the images tell pixels of {min(told):g} and of {max(told):g} mm: give --pixel-mm")
    return min(told, default=None)


def _window_hu(cases: CaseImages) -> tuple[float, float]:
    """A display window that 98 % of all values lie in, in whole HU."""
    low, high = np.percentile(np.stack([np.percentile(one, (1.0, 99.0)) for one in cases.images.values()]), (0, 100))
    return float(np.rint((low + high) / 2.0)), float(max(np.rint(high - low), 1.0))
