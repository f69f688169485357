"""Trials in chunks: which trials make up a chunk, and one chunk from its number alone.

A chunk depends on the settings and on its own number, never on another chunk or on who computes it. So chunks may be
made in any order, by any number of processes, and made again after a kill: the bytes are the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.machine import memory_kept
from taskct.scanner.fbp import FBP
from taskct.simulation.lost import together
from taskct.simulation.scan import Scanned, Scanner
from taskct.simulation.sources import Source, trials_wanted
from taskct.trials.trials import SPLITS, Trials

CHUNK_TRIALS = 256
OBJECTS_AT_A_TIME = 32  # bounds the objects and sinograms held at a time


@dataclass(frozen=True)
class SplitPlan:
    """How the trials of a split are made of objects and chunks."""

    n_trials: int
    trials_per_object: int
    objects_per_chunk: int

    @property
    def chunk_trials(self) -> int:
        """Trials in a chunk; the last one may have fewer."""
        return self.trials_per_object * self.objects_per_chunk

    def objects(self, start: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the objects behind trials `start` to `start + n - 1`, and how many trials each has there."""
        owner = np.arange(start, start + n) // self.trials_per_object
        index, count = np.unique(owner, return_counts=True)
        return index.astype(np.int64), count.astype(np.int64)


def plan_split(n_trials: int, n_objects: int) -> SplitPlan:
    """Share out a split's trials: every object has the same number, but for the last; a chunk holds whole objects.

    Chunks have about `CHUNK_TRIALS` trials, or one object that has more.
    """
    each = -(-n_trials // n_objects)
    return SplitPlan(n_trials, each, max(CHUNK_TRIALS // each, 1))


def splits_with_signals(settings: Settings) -> tuple[str, ...]:
    """Splits whose trials know what their signals add: those that observers learn on, in a task of detection.

    Where the other trials hold a signal of their own, no trial knows what it would be under the other truth.
    """
    return () if settings.absent_signal.inserted else ("fresh",)


class ChunkMaker:
    """Makes the chunks of a study's trials, from the backgrounds of every split."""

    def __init__(self, settings: Settings, sources: Mapping[str, Source], device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.sources = sources
        wanted = trials_wanted(settings)
        self.plans = {name: plan_split(n, sources[name].n_objects) for name, n in wanted.items()}
        self.scanner = Scanner(settings, device)
        self.with_signals = splits_with_signals(settings)
        # Half of a split's trials have a signal, whichever chunk they are in.
        self._present = {
            name: np.random.default_rng([settings.seed, SPLITS.index(name)]).permutation(np.arange(n) % 2 == 0)
            for name, n in wanted.items()
        }

    def make(self, split: str, start: int, n: int) -> Scanned:
        """Simulate trials `start` to `start + n - 1` of a split; `start` and `n` are those of a chunk of its plan.

        A UserError, if no region fits into the objects, or the signals cannot be placed or seen.
        """
        source, signals = self.sources[split], split in self.with_signals
        rng = self._rng(split, start)
        with single_thread(), memory_kept():
            return concatenate(
                [self.scanner.scan(source, rng, *batch, signals=signals) for batch in self._batches(split, start, n)]
            )

    def make_onto(
        self, view: FBP, split: str, start: int, n: int
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Low-dose images of the same trials on the grid of a view, HU, and the region of each; some at a time."""
        source, rng = self.sources[split], self._rng(split, start)
        for batch in self._batches(split, start, n):
            with single_thread(), memory_kept():
                made = self.scanner.scan_onto(view, source, rng, *batch)
            yield made

    def _rng(self, split: str, start: int) -> np.random.Generator:
        chunk = start // self.plans[split].chunk_trials
        return np.random.default_rng([self.settings.seed, SPLITS.index(split), chunk, 1])

    def _batches(
        self, split: str, start: int, n: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
        """Of a chunk, some objects at a time: their numbers, how many trials each has, and which trials are of H1."""
        index, count = self.plans[split].objects(start, n)
        first = start
        for batch in range(0, len(index), OBJECTS_AT_A_TIME):
            here = slice(batch, batch + OBJECTS_AT_A_TIME)
            last = first + int(count[here].sum())
            yield index[here], count[here], self._present[split][first:last]
            first = last


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch compute on one thread: how it shares out a sum among threads would show in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def concatenate(parts: list[Scanned]) -> Scanned:
    """Join what was scanned in turn."""
    first = np.cumsum([0, *(len(part.objects_hu) for part in parts[:-1])])
    trials = [part.trials for part in parts]
    signals = [t.signal for t in trials if t.signal is not None]
    return Scanned(
        trials=Trials(
            noisy=np.concatenate([t.noisy for t in trials]),
            reference=np.concatenate([t.reference for t in trials]),
            signal_present=np.concatenate([t.signal_present for t in trials]),
            truth={key: np.concatenate([t.truth[key] for t in trials]) for key in trials[0].truth},
            margin=trials[0].margin,
            pixel_mm=trials[0].pixel_mm,
            signal=np.concatenate(signals) if signals else None,
        ),
        objects_hu=np.concatenate([part.objects_hu for part in parts]),
        owner=np.concatenate([part.owner + int(k) for part, k in zip(parts, first, strict=True)]),
        losses=together([part.losses for part in parts]),
    )
