"""How a reading study is designed: which cases are read, what a trial shows, and what readers are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading_room.protocol import ALTERNATIVES, DESIGNS, SCALES, Design

DEFAULT_SCALE = 101
LOCATED: tuple[Design, ...] = ("locate", "froc")
"""Designs whose answers are places."""

MIN_PER_CLASS = 2


@dataclass(frozen=True)
class ReadingPlan:
    """What an organiser decides.

    Raises
    ------
    UserError
        If a number is out of its range, or two of them do not go together.
    """

    design: Design = "2afc"
    readers: tuple[str, ...] = ("reader-1",)
    n_cases: int | None = None
    """Sets of images in forced choice, images elsewhere, of each arm; None for what the source proposes."""
    n_training: int | None = None
    """Training trials; None for what the source proposes."""
    scale: int | None = None
    """One of `SCALES`; None for 101 points, or none in forced choice."""
    window_hu: tuple[float, float] | None = None
    """Centre and width, HU; None for what the source proposes."""
    adjustable: bool = True
    """Whether readers may change the window."""
    break_every: int = 50
    """Trials between two offers of a break; 0 for none."""
    radius_mm: float | None = None
    """Within which a mark hits; None for half the largest diameter."""
    title: str = "Reading study"
    question: str | None = None
    """None for a question of the design."""
    instructions: tuple[str, ...] = ()
    """Paragraphs; none for those of the design."""
    seed: int = 0
    """Of all draws."""

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise UserError(f"--design is {self.design!r}; give one of {', '.join(DESIGNS)}")
        if self.scale is not None and self.design in ALTERNATIVES:
            raise UserError(f"--scale is for ratings, and {self.design} asks for none: leave it out")
        if self.scale is not None and self.scale not in SCALES:
            raise UserError(f"--scale is {self.scale}; give {' or '.join(map(str, SCALES))} points")
        if self.n_cases is not None and self.n_cases < 2 * MIN_PER_CLASS:
            raise UserError(f"--cases is {self.n_cases}; give at least {2 * MIN_PER_CLASS}")
        if self.n_training is not None and not 0 <= self.n_training <= 1000:
            raise UserError(f"--training is {self.n_training}; give 0 to 1000 trials")
        if self.break_every < 0:
            raise UserError(f"--break-every is {self.break_every}; give a number of trials, or 0 for no break")
        if self.radius_mm is not None and not 0.0 < self.radius_mm < 1000.0:
            raise UserError(f"--radius-mm is {self.radius_mm:g}; it must be above 0 and below 1000 mm")
        if self.radius_mm is not None and self.design not in LOCATED:
            raise UserError(
                f"--radius-mm is for {' and '.join(LOCATED)}, and the design is {self.design}: leave it out"
            )
        for option, text in (("--title", self.title), ("--question", self.question)):
            if text is not None and not text.strip():
                raise UserError(f"{option} is blank: write what readers see, or leave it out")
        if self.window_hu is not None and not (0.0 < self.window_hu[1] < 1e5 and abs(self.window_hu[0]) < 1e5):
            raise UserError("--window needs its centre and its width above 0, in HU, such as 60,120")

    @property
    def n_alternatives(self) -> int:
        """Images of a trial."""
        return ALTERNATIVES.get(self.design, 1)

    @property
    def points(self) -> int:
        """Of the scale of confidence; 0 in forced choice."""
        return 0 if self.design in ALTERNATIVES else self.scale or DEFAULT_SCALE


@dataclass(frozen=True)
class Share:
    """How many images of each class are read."""

    n_present: int
    n_absent: int
    n_sets: int
    """Sets of forced choice; 0 elsewhere."""


def share_of(plan: ReadingPlan, n_present: int, n_absent: int, proposed: int | None) -> Share:
    """How many of the cases that there are with and without a signal are read.

    Parameters
    ----------
    plan
        With `n_cases`, or None for what is `proposed`.
    n_present, n_absent
        That there are.
    proposed
        How many cases the source proposes, at most; None for all.

    Raises
    ------
    UserError
        If there are too few.
    """
    others = plan.n_alternatives - 1
    if others:
        fresh = min(n_present, n_absent // others)  # each image is shown once
        n = plan.n_cases or (fresh if proposed is None else min(fresh, proposed))
        if n > n_present or n_absent < others or n < MIN_PER_CLASS:
            raise UserError(
                f"{n_present} cases with a signal and {n_absent} without are too few for {max(n, MIN_PER_CLASS)} "
                f"trials of {plan.design}: each takes one with a signal of its own and {others} without; give fewer "
                "--cases, or more images"
            )
        return Share(n, min(n * others, n_absent), n)
    most = 2 * min(n_present, n_absent)
    if plan.n_cases is None:
        n = most if proposed is None else min(most, proposed)
        halves = (n_present, n_absent) if proposed is None else (n // 2, n // 2)
    else:
        n = plan.n_cases
        halves = ((n + 1) // 2, n // 2)
    if halves[0] > n_present or halves[1] > n_absent or min(halves) < MIN_PER_CLASS:
        raise UserError(
            f"{n_present} cases with a signal and {n_absent} without are too few to read "
            f"{max(halves[0], MIN_PER_CLASS)} with and {max(halves[1], MIN_PER_CLASS)} without: give fewer --cases, or "
            "more images"
        )
    return Share(*halves, 0)


def draw_cases(present: NDArray[np.bool_], share: Share, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of the cases that are read, drawn at random within each class: first those with a signal."""
    chosen = [
        np.sort(rng.permutation(np.flatnonzero(present == truth))[:n])
        for truth, n in ((True, share.n_present), (False, share.n_absent))
    ]
    return np.concatenate(chosen).astype(np.int64)


def sets_of(
    present: Sequence[int], absent: Sequence[int], backgrounds: Sequence[str], n_others: int, rng: np.random.Generator
) -> list[list[int]]:
    """Sets of forced choice: each case with a signal, and others without, none twice in a set.

    Each case without a signal is used as seldom as possible: none twice before all are used once. Of those, cases of
    the same background come first, so that the background tells nothing and sets of others are independent.
    """
    if len(absent) < n_others:
        raise ValueError("fewer cases without a signal than a set takes")
    sets, left = [], list[int]()
    for first in present:
        others: list[int] = []
        while len(others) < n_others:
            free = [case for case in left if case not in others]
            if not free:
                left += [absent[place] for place in rng.permutation(len(absent))]
                continue
            own = [case for case in free if backgrounds[first] and backgrounds[case] == backgrounds[first]]
            others.append((own or free)[0])
            left.remove(others[-1])
        sets.append([first, *others])
    return sets


def training_share(plan: ReadingPlan, n_present: int, n_absent: int, proposed: int) -> Share:
    """How many training cases of each class are shown; none where none are wanted.

    Raises
    ------
    UserError
        If more trials are wanted than there are cases for.
    """
    others = plan.n_alternatives - 1
    wanted = plan.n_training

    def classes(n: int) -> tuple[int, int]:
        return (n, n * others) if others else ((n + 1) // 2, n // 2)

    def fits(n: int) -> bool:
        return classes(n)[0] <= n_present and classes(n)[1] <= n_absent

    n = proposed if wanted is None else wanted
    if wanted is None:
        n = next(fewer for fewer in range(n, -1, -1) if fits(fewer))
    if not fits(n):
        raise UserError(
            f"--training is {n}, and there are {n_present} examples with a signal and {n_absent} without: give fewer"
        )
    return Share(*classes(n), n if others else 0)
