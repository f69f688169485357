"""From settings to the trial store: chunks over all cores, resumed after a kill."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from taskct import __version__
from taskct.config import Settings, make_settings
from taskct.errors import UserError
from taskct.machine import WorkerPool
from taskct.progress import Progress
from taskct.simulation.chunks import ChunkMaker, concatenate, splits_with_signals
from taskct.simulation.lost import Losses, beyond_note, loss_notes, task_notes, together
from taskct.simulation.sources import Source, files_of, make_sources
from taskct.trials.store import PartialStore, chunk_starts, write_chunk
from taskct.trials.trials import SPLITS, Trials

Chunk = tuple[str, int, int]
"""Split, first trial and number of trials."""

SERIES = 2
"""Of the trials that a seed gives: raise it whenever they have other bits."""

TRIALS_PER_WORKER = 400  # a process takes seconds to start


def simulate(
    settings: Settings,
    sources: dict[str, Source] | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Trials]:
    """Simulate the trials of every split in memory, on this process; no background stands in two splits.

    `sources` come from `make_sources`; `progress` is called as (trials done, trials in all, split). A UserError, if the
    backgrounds cannot be used, or the region or the signals fit nowhere.
    """
    maker = ChunkMaker(settings, make_sources(settings) if sources is None else sources, device)
    total, done, splits = sum(plan.n_trials for plan in maker.plans.values()), 0, {}
    losses: list[Losses] = []
    for name in SPLITS:
        parts = []
        for start, n in chunk_starts(maker.plans[name].n_trials, maker.plans[name].chunk_trials):
            parts.append(maker.make(name, start, n))
            done += n
            if progress is not None:
                progress(done, total, name)
        scanned = concatenate(parts)
        losses.append(scanned.losses)
        splits[name] = scanned.trials
    warn_losses(notes_of(maker, together(losses)))
    return splits


def simulate_store(
    path: Path,
    settings: Settings,
    *,
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Progress | None = None,
    splits: Sequence[str] = SPLITS,
) -> None:
    """Simulate the trials of every split, or of some, into a store, the chunks that are missing only.

    The store at `path` is filled beside its place, see `PartialStore`. `workers` are processes; 1 works in this one.
    `progress` is called as (trials done, trials in all, split). The bytes do not depend on the number of workers, nor
    on where an earlier run was stopped.
    """
    sources = make_sources(settings)
    maker = ChunkMaker(settings, sources, device)
    store = PartialStore(
        path,
        {name: (maker.plans[name].n_trials, maker.plans[name].chunk_trials) for name in splits},
        image_shape=(maker.scanner.regions[0].n_pixels,) * 2,
        columns=maker.scanner.truth_columns,
        case_kind=sources["test"].case_kind,
        key=simulation_key(settings, device),
        signals=maker.with_signals,
    )
    missing = store.missing()
    total = sum(n for n, _ in store.sizes.values())
    done, losses = total - sum(n for _, _, n in missing), Losses()
    if progress is not None:
        progress(done, total, "")
    workers = max(min(workers, len(missing), (total - done) // TRIALS_PER_WORKER), 1)
    work = _alone(maker, store, missing) if workers == 1 else _shared(settings, device, store, missing, workers)
    for (name, _, n), part in work:
        done, losses = done + n, together([losses, part])
        if progress is not None:
            progress(done, total, name)
    warn_losses(notes_of(maker, losses))
    store.finish()


def simulation_key(settings: Settings, device: torch.device | str) -> str:
    """Hash of everything that a study's trials depend on; of files their names, sizes and times of change."""
    sections = ("seed", "background", "signal", "absent_signal", "scanner", "trials")
    tree = settings.model_dump(mode="json", include=set(sections))
    files = [
        [str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns]
        for root in files_of(settings)
        if root.exists()
        for file in (sorted(root.rglob("*")) if root.is_dir() else [root])
        if file.is_file()
    ]
    content = json.dumps([__version__, SERIES, torch.device(device).type, tree, files], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def notes_of(maker: ChunkMaker, losses: Losses) -> list[str]:
    """What a reader must know of how the trials came about: see `taskct.simulation.lost`."""
    settings, scanner = maker.settings, maker.scanner
    places = settings.scanner.region_count**2
    notes = [*task_notes(settings), beyond_note(scanner.beyond_mm, places)]
    without = maker.sources["test"].n_without_organ
    if without:
        organ = settings.background.organ
        notes.append(f"{without:,} slices hold nothing of the organ (background.organ={organ}) and are left out")
    return [note for note in notes if note is not None] + list(
        loss_notes(losses, scanner.draw.centers_mm, in_organ=scanner.draw.in_organ)
    )


def warn_losses(notes: Iterable[str]) -> None:
    """Warn of all of them."""
    for note in notes:
        warnings.warn(note, stacklevel=2)


def _alone(maker: ChunkMaker, store: PartialStore, missing: Iterable[Chunk]) -> Iterator[tuple[Chunk, Losses]]:
    for chunk in missing:
        scanned = maker.make(*chunk)
        store.write(chunk[0], chunk[1], scanned.trials)
        yield chunk, scanned.losses


def _shared(
    settings: Settings, device: torch.device | str, store: PartialStore, missing: list[Chunk], workers: int
) -> Iterator[tuple[Chunk, Losses]]:
    """Share chunks out among processes; an error in one, or an interruption, ends them all."""
    pool = WorkerPool(workers, _start_worker, settings.model_dump(mode="json"), str(device), str(store.partial))
    finished_all = False
    try:
        waiting: dict[Future[Losses], Chunk] = {pool.submit(_make_chunk, *chunk): chunk for chunk in missing}
        while waiting:
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield waiting.pop(future), future.result()
        finished_all = True
    except BrokenProcessPool as error:
        raise UserError(
            f"one of the {workers} processes that simulate {pool.why_broken()}: give the same command with fewer "
            "--workers; it goes on with the chunks that are missing"
        ) from error
    finally:
        if finished_all:
            pool.shutdown(wait=True)
        else:  # chunks are written whole or not at all
            pool.kill()


_worker: tuple[ChunkMaker, Path] | None = None
"""Of a worker process: what it makes chunks with, and the store it writes them to."""


def _start_worker(tree: dict[str, Any], device: str, partial: str) -> None:
    global _worker
    settings = make_settings(tree)
    _worker = ChunkMaker(settings, make_sources(settings), device), Path(partial)


def _make_chunk(split: str, start: int, n: int) -> Losses:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    maker, partial = _worker
    scanned = maker.make(split, start, n)
    write_chunk(partial, split, start, scanned.trials)
    return scanned.losses


def trials_bytes(settings: Settings) -> int:
    """Disk that the images of a study's trials take, bytes."""
    t = settings.trials
    side, with_signals = t.region_pixels + 2 * t.margin_pixels, splits_with_signals(settings)
    return 4 * side**2 * sum((2 + (name in with_signals)) * int(getattr(t, f"n_{name}")) for name in SPLITS)
