"""In which order each reader sees the trials.

Arms are crossed with cases: every reader sees every case in every arm, once in each block. Within a block the arms are
mixed. Cases fall into as many groups as there are arms, and a group sees its arms in the order of a row of a Latin
square in which every arm follows every other equally often [1]. Readers begin at different rows, so that over readers
each case is first seen in each arm equally often.

References
----------
.. [1] E. J. Williams, "Experimental designs balanced for the estimation of residual effects of treatments", Aust. J.
   Sci. Res. A 2, 149-168, 1949.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading_room.key import KeyTrial
from taskct.seeds import derive_seed

T = TypeVar("T")

N_SHUFFLES = 200
"""Orders of a block that are drawn before the last one is mended."""


@dataclass(frozen=True)
class ShownTrial:
    """A trial as one reader sees it."""

    trial: int
    """Its number in the key."""
    images: tuple[int, ...]
    """Rows of the study's images, from left to right, then down; one unless the design is forced choice."""
    block: int
    """From 0; a case is shown once in a block."""


def williams_rows(n: int) -> NDArray[np.int64]:
    """Sequences of `n` arms, `(n, n)` for an even and `(2 n, n)` for an odd number of arms.

    Each half of the rows for an odd number, or all of them for an even one, are a Latin square; in all rows together
    every arm follows every other equally often.

    >>> williams_rows(4).tolist()
    [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]
    """
    zigzag = [(k + 1) // 2 if k % 2 else -(k // 2) for k in range(n)]
    square = (np.array(zigzag)[None, :] + np.arange(n)[:, None]) % n
    return square if n % 2 == 0 else np.concatenate([square, square[:, ::-1]])


def arm_of_block(n_arms: int, group: int, reader: int) -> NDArray[np.int64]:
    """The arm in which one group of cases is seen in each block by one reader, `(n_arms,)`.

    Of one reader, the groups 0 to n_arms − 1 make a Latin square; of one group, so do n_arms readers of every second
    (odd) or of all (even).
    """
    rows = williams_rows(n_arms)
    n_squares = len(rows) // n_arms
    square, start = reader % n_squares, reader // n_squares
    found: NDArray[np.int64] = rows[square * n_arms + (group + start) % n_arms]
    return found


def orders_of(
    trials: Sequence[KeyTrial], images: NDArray[np.int16], readers: Sequence[str], seed: int
) -> dict[str, tuple[ShownTrial, ...]]:
    """The order of every reader.

    Parameters
    ----------
    trials
        Of the key; each case once in each arm.
    images
        Of the study, `(n, height, width)`: those that are alike do not follow one another.
    readers
        Their names.
    seed
        Of all draws. An order depends on it and on the reader's place in the list.

    Raises
    ------
    UserError
        If the cases are so few that the same image would follow itself.
    """
    layout = _Layout(trials, images, seed)
    return {name: layout.order(number) for number, name in enumerate(readers)}


class _Layout:
    """What the orders of all readers have in common."""

    def __init__(self, trials: Sequence[KeyTrial], images: NDArray[np.int16], seed: int) -> None:
        self.trials, self.seed = trials, seed
        arms = sorted({trial.arm for trial in trials})
        self.n_arms = len(arms)
        self.number = {(trial.case, arms.index(trial.arm)): i for i, trial in enumerate(trials)}
        cases = sorted({trial.case for trial in trials})
        if len(self.number) != len(trials) or len(trials) != len(cases) * self.n_arms:
            raise ValueError("a case is not once in each arm")
        rng = np.random.default_rng(derive_seed(seed, "reading", "groups"))
        signal = {trial.case: trial.present is not None for trial in trials}
        # Dealt out class by class, so that each group has its share of both.
        dealt = [case for truth in (True, False) for case in _shuffled(rng, cases) if signal[case] is truth]
        first = int(rng.integers(self.n_arms))
        self.group = {case: (place + first) % self.n_arms for place, case in enumerate(dealt)}
        self.cases = dealt
        content = _contents(images)
        self.shows = [frozenset(content[row] for row in trial.images) for trial in trials]

    def order(self, reader: int) -> tuple[ShownTrial, ...]:
        rng = np.random.default_rng(derive_seed(self.seed, "reading", "order", reader))
        in_block = [arm_of_block(self.n_arms, group, reader) for group in range(self.n_arms)]
        order: list[tuple[int, int]] = []
        for block in range(self.n_arms):
            members = [self.number[case, int(in_block[self.group[case]][block])] for case in self.cases]
            last = order[-1][0] if order else None
            order += [(trial, block) for trial in self._apart(members, last, rng)]
        places = self._places(rng)
        return tuple(ShownTrial(trial, self._arranged(trial, places[trial], rng), block) for trial, block in order)

    def _apart(self, members: list[int], last: int | None, rng: np.random.Generator) -> list[int]:
        """The trials of a block in random order, none beside one that it is like; `last` is the one before them."""
        for _ in range(N_SHUFFLES):
            found = _shuffled(rng, members)
            if not self._clashes(found, last):
                return found
        for _ in range(len(found)):
            clashes = self._clashes(found, last)
            if not clashes:
                return found
            place = clashes[0]
            for other in _shuffled(rng, list(range(len(found)))):
                swapped = list(found)
                swapped[place], swapped[other] = found[other], found[place]
                if len(self._clashes(swapped, last)) < len(clashes):
                    found = swapped
                    break
            else:
                break
        if not self._clashes(found, last):
            return found
        raise UserError(
            f"{len(members)} cases are too few, or too much alike, to show them so that no image follows itself: give "
            "more --cases, or images that differ"
        )

    def _clashes(self, order: Sequence[int], last: int | None) -> list[int]:
        """Places of the trials that are like the one before."""
        before = [last, *order[:-1]]
        return [
            place for place, (a, b) in enumerate(zip(before, order, strict=True)) if a is not None and self.alike(a, b)
        ]

    def alike(self, first: int, second: int) -> bool:
        """Whether two trials are of one case, or share an image."""
        return self.trials[first].case == self.trials[second].case or bool(self.shows[first] & self.shows[second])

    def _places(self, rng: np.random.Generator) -> dict[int, int]:
        """Where the signal stands in each trial of forced choice: in each arm at each place equally often."""
        places: dict[int, int] = {}
        for arm in range(self.n_arms):
            mine = [self.number[case, arm] for case in self.cases]
            n = len(self.trials[mine[0]].images)
            # Where they do not come out even, which places are one short is left to chance.
            even = [place for place in range(n) for _ in range(len(mine) // n)]
            odd = _shuffled(rng, list(range(n)))[: len(mine) % n]
            every = _shuffled(rng, even + odd)
            places |= dict(zip(mine, every, strict=True))
        return places

    def _arranged(self, trial: int, place: int, rng: np.random.Generator) -> tuple[int, ...]:
        known = self.trials[trial]
        if known.present is None or len(known.images) == 1:
            return known.images
        others = [row for slot, row in enumerate(known.images) if slot != known.present]
        arranged = _shuffled(rng, others)
        arranged.insert(place, known.images[known.present])
        return tuple(arranged)


def _contents(images: NDArray[np.int16]) -> list[int]:
    """A number of each image's content, the same for images that are alike."""
    seen: dict[bytes, int] = {}
    return [seen.setdefault(hashlib.sha256(image.tobytes()).digest(), len(seen)) for image in images]


def _shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    return [items[place] for place in rng.permutation(len(items))]
