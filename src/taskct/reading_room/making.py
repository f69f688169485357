"""Make a reading study: cases and a plan in, a folder out."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading_room.cases import CaseImages, Material
from taskct.reading_room.design import LOCATED, ReadingPlan, sets_of
from taskct.reading_room.folder import StudyContents, StudyFolder, write_study
from taskct.reading_room.key import Key, KeyTrial
from taskct.reading_room.order import orders_of
from taskct.reading_room.protocol import Display, Protocol
from taskct.reading_room.words import instructions_of, question_of
from taskct.seeds import derive_seed

ROOM_PX = (620, 1180)
"""Height and width that images of a trial may take on a screen at the start, pixels."""

MAX_ZOOM = 8


def make_study(path: Path, material: Material, plan: ReadingPlan) -> StudyFolder:
    """Make a study of all cases of the material, whole or not at all.

    Parameters
    ----------
    path
        Of the folder, new or empty.
    material
        The cases that are read, in their arms, and training cases.
    plan
        What the organiser decided.

    Raises
    ------
    UserError
        If the material does not suit the design.
    """
    _check_inside(material.cases)
    _check_truth(material.cases)
    if plan.design in LOCATED:
        _check_places(material, plan)
    rng = np.random.default_rng(derive_seed(plan.seed, "reading", "trials"))
    read = lay_out(material.cases, plan, rng)
    trained = lay_out(material.training, plan, rng) if material.training is not None else None
    height, width = read.images.shape[1:]
    centre, spread = plan.window_hu or material.window_hu
    protocol = Protocol(
        study=secrets.token_hex(6),
        title=plan.title,
        design=plan.design,
        scale=plan.points,
        n_trials=len(read.trials),
        n_training=0 if trained is None else len(trained.trials),
        break_every=plan.break_every if plan.break_every < len(read.trials) else 0,
        height=height,
        width=width,
        pixel_mm=material.pixel_mm,
        display=Display(centre, spread, plan.adjustable, zooms_of(height, width, plan.n_alternatives)),
        instructions=plan.instructions or instructions_of(plan, material.cases, trained=trained is not None),
        question=plan.question or question_of(plan.design),
    )
    radius = _radius_mm(material, plan) if plan.design in LOCATED else None
    key = Key(tuple(read.trials), tuple(material.cases.images), radius, material.source)
    contents = StudyContents(
        protocol=protocol,
        images=read.images,
        orders=orders_of(read.trials, read.images, plan.readers, plan.seed),
        key=key,
        training_images=read.images[:0] if trained is None else trained.images,
        training=() if trained is None else tuple(trained.trials),
        seed=plan.seed,
    )
    return write_study(path, contents)


@dataclass(frozen=True)
class LaidOut:
    """Trials, and the images that they show."""

    trials: list[KeyTrial]
    images: NDArray[np.int16]
    """HU, `(n, height, width)`, in rows of random order."""


def lay_out(cases: CaseImages, plan: ReadingPlan, rng: np.random.Generator) -> LaidOut:
    """The trials of every arm in random order, and their images in rows of random order.

    In forced choice the sets of images are the same in every arm.
    """
    n, arms = len(cases), list(cases.images)
    rows = rng.permutation(len(arms) * n).reshape(len(arms), n)
    some = next(iter(cases.images.values()))
    images = np.empty((len(arms) * n, *some.shape[1:]), dtype=np.int16)
    for arm, of_arm in zip(arms, rows, strict=True):
        images[of_arm] = cases.images[arm]
    trials = []
    sets = _members(cases, plan, rng)
    places = rng.permutation(np.resize(np.arange(plan.n_alternatives), len(sets)))  # of the signal: each as often
    for number, (members, place) in enumerate(zip(sets, places.tolist(), strict=True)):
        name = f"set {number + 1}" if plan.n_alternatives > 1 else cases.names[members[0]]
        first = members[0]
        for arm, of_arm in zip(arms, rows, strict=True):
            shown = [members[1 + other] for other in rng.permutation(len(members) - 1)]
            shown.insert(place, members[0])
            present = [place for place, case in enumerate(shown) if cases.present[case]]
            trial = KeyTrial(
                arm=arm,
                case=name,
                images=tuple(int(of_arm[case]) for case in shown),
                present=present[0] if present else None,
                lesions=cases.lesions[first] if cases.present[first] else (),
                background=cases.backgrounds[first],
                group=cases.groups[first] if cases.present[first] else "",
            )
            trials.append(trial)
    return LaidOut([trials[place] for place in rng.permutation(len(trials))], images)


def _members(cases: CaseImages, plan: ReadingPlan, rng: np.random.Generator) -> list[list[int]]:
    """The cases that each trial shows; in forced choice the one with the signal first."""
    if plan.n_alternatives == 1:
        return [[case] for case in range(len(cases))]
    present, absent = (np.flatnonzero(cases.present == truth) for truth in (True, False))
    return sets_of(rng.permutation(present).tolist(), absent.tolist(), cases.backgrounds, plan.n_alternatives - 1, rng)


def zooms_of(height: int, width: int, n_alternatives: int) -> tuple[int, ...]:
    """Screen pixels for each pixel: first what fills a screen, then what else a reader may choose, up to twice that.

    A screen that has two pixels to one of CSS starts at twice the first.

    >>> zooms_of(52, 52, 2), zooms_of(512, 512, 2)
    ((8, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16), (1, 2, 3, 4))
    """
    across = 1 if n_alternatives == 1 else 2
    down = 2 if n_alternatives == 4 else 1
    start = min(ROOM_PX[0] // (down * height), ROOM_PX[1] // (across * width), MAX_ZOOM)
    start = max(start, 1)
    return (start, *(zoom for zoom in range(1, max(2 * start, 4) + 1) if zoom != start))


def _check_inside(cases: CaseImages) -> None:
    height, width = next(iter(cases.images.values())).shape[1:]
    for name, lesions in zip(cases.names, cases.lesions, strict=True):
        for lesion in lesions:
            if not (-0.5 <= lesion.row_px <= height - 0.5 and -0.5 <= lesion.column_px <= width - 0.5):
                raise UserError(
                    f"the signal of the case {name!r} lies outside its image of {height} × {width} pixels, at row "
                    f"{lesion.row_px:g} and column {lesion.column_px:g}"
                )


def _check_truth(cases: CaseImages) -> None:
    for arm, images in cases.images.items():
        absent = {images[case].tobytes(): case for case in np.flatnonzero(~cases.present)}
        for case in np.flatnonzero(cases.present):
            if (other := absent.get(images[case].tobytes())) is not None:
                raise UserError(
                    f"the arm {arm} shows the same image with a signal ({cases.names[case]}) and without "
                    f"({cases.names[other]}), so that no answer is right: look at the images"
                )


def _check_places(material: Material, plan: ReadingPlan) -> None:
    cases = material.cases
    missing = [
        name for name, p, lesions in zip(cases.names, cases.present, cases.lesions, strict=True) if p and not lesions
    ]
    if missing:
        raise UserError(
            f"{plan.design} needs the place of every signal, and {len(missing)} cases have none, the first is "
            f"{missing[0]!r}: give a lesions.csv with image,row_px,column_px, or another --design"
        )
    if material.pixel_mm is None:
        raise UserError(f"{plan.design} needs the size of a pixel, which the images do not tell: give --pixel-mm")


def _radius_mm(material: Material, plan: ReadingPlan) -> float:
    """Within which a mark hits, mm: half the largest diameter, and at least a pixel."""
    if plan.radius_mm is not None:
        return plan.radius_mm
    sizes: Sequence[float | None] = [one.diameter_mm for lesions in material.cases.lesions for one in lesions]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        raise UserError(
            f"{plan.design} needs to know how near a mark must be, and sizes are not known: give --radius-mm"
        )
    return max(max(known) / 2.0, material.pixel_mm or 0.0)
