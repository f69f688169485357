"""The figures of a page as files: SVG and PNG, and what they show as CSV."""

import csv
import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from taskct.files import whole_folder
from taskct.literal import csv_text
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import roc_curve
from taskct.names import LOW_DOSE, MSE
from taskct.report import figures
from taskct.report.axes import axes_of, axes_rows, axis_figure
from taskct.report.families import main_observer
from taskct.report.run import Run
from taskct.report.tradeoff import tradeoff_figure

FOLDER = "figures"

_DPI = 300  # what journals ask for
_PANEL_TRIALS = 4  # of each class


@dataclass(frozen=True)
class FigureFile:
    """A figure, drawn when it is asked for, and the numbers that it shows."""

    draw: Callable[[], Figure]
    data: Callable[[], str]
    """As CSV."""


def figures_of(run: Run) -> dict[str, FigureFile]:
    """Return the figures of a run by the name of their files; one that the run has nothing for is left out."""
    arms = list(dict.fromkeys((LOW_DOSE, MSE, run.tradeoff.control, run.choices.chosen_arm)))
    denoised = [name for name in arms if name in run.examples.denoised]
    found = {
        "tradeoff": FigureFile(lambda: tradeoff_figure(run), lambda: _tradeoff_csv(run)),
        "roc": FigureFile(lambda: figures.roc_figure(run, arms), lambda: _roc_csv(run)),
    }
    for name, present in (("present", True), ("absent", False)):
        trials = np.flatnonzero(run.examples.signal_present == present)[:_PANEL_TRIALS].tolist()
        if trials:
            found[f"images-{name}"] = FigureFile(
                lambda trials=trials: figures.panel_figure(run.examples, run.task, denoised, trials),  # type: ignore[misc]
                lambda trials=trials: _images_csv(run, denoised, trials),  # type: ignore[misc]
            )
    for axis in axes_of(run):
        found[f"axis-{axis.name}"] = FigureFile(
            lambda axis=axis: axis_figure(run, axis, main_observer(run)),  # type: ignore[misc]
            lambda axis=axis: _axis_csv(run, axis.name),  # type: ignore[misc]
        )
    templates = [name for name in arms if name in run.examples.template]
    if templates:
        found["templates"] = FigureFile(
            lambda: figures.template_figure(run.examples, templates), lambda: _templates_csv(run, templates)
        )
    return found


def write_figures(run: Run) -> Path:
    """Write `figures/` into the run folder, each figure as SVG, PNG and CSV, whole or not at all.

    What an earlier call left there is replaced.
    """
    folder = run.path / FOLDER
    new = folder.with_name(f".{FOLDER}.{secrets.token_hex(8)}.new")
    with whole_folder(new) as partial:
        for name, one in figures_of(run).items():
            with figures.style():
                figure = one.draw()
                figure.savefig(partial / f"{name}.svg", metadata={"Date": None})
                figure.savefig(partial / f"{name}.png", dpi=_DPI)
            (partial / f"{name}.csv").write_text(one.data(), encoding="utf-8", newline="\n")
    old = new.with_suffix(".old")
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        if not folder.exists() and old.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _csv(header: Sequence[str], rows: Iterator[list[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([csv_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def _bounds(name: str) -> list[str]:
    return [name, f"{name}_ci_low", f"{name}_ci_high"]


def _cells(found: Interval | None) -> list[object]:
    return ["", "", ""] if found is None else [found.value, found.ci_low, found.ci_high]


def _tradeoff_csv(run: Run) -> str:
    quality = ("rmse_hu", "psnr_db", "ssim")
    header = ["arm", "seed", "lambda", "alpha", "observer", *_bounds("auc"), *_bounds("auc_in_limit")]
    header += [cell for name in quality for cell in _bounds(name)]

    def rows() -> Iterator[list[object]]:
        for arm in run.summary.arms:
            measured = [cell for name in quality for cell in _cells(getattr(arm.image_quality, name))]
            weights: list[object] = ["" if one is None else one for one in (arm.lambda_, arm.alpha)]
            for observer, auc in arm.observers.items():
                limit = run.limit(arm.name, observer, arm.seed)
                in_limit = _cells(None if limit is None else limit.limit)
                yield [arm.name, arm.seed, *weights, observer, *_cells(auc), *in_limit, *measured]

    return _csv(header, rows())


def _roc_csv(run: Run) -> str:
    def rows() -> Iterator[list[object]]:
        for arm in run.summary.arms:
            if arm.seed != run.arm(arm.name).seed:
                continue
            for observer in arm.observers:
                score = run.scores[arm.name, arm.seed, observer]
                for fpf, tpf in zip(*roc_curve(score.present, score.absent), strict=True):
                    yield [arm.name, arm.seed, observer, f"{fpf:.6g}", f"{tpf:.6g}"]

    return _csv(["arm", "seed", "observer", "false_positive_fraction", "true_positive_fraction"], rows())


def _axis_csv(run: Run, name: str) -> str:
    rows = [row for row in axes_rows(run) if row["axis"] == name]
    return _csv(list(rows[0]), (["" if cell is None else cell for cell in row.values()] for row in rows))


def _images_csv(run: Run, arms: Sequence[str], trials: Sequence[int]) -> str:
    """Images row by row, HU, a column for every pixel of the row."""
    examples = run.examples
    images = {"reference": examples.reference, LOW_DOSE: examples.noisy}
    images |= {name: examples.denoised[name] for name in arms}
    width = examples.reference.shape[2]

    def rows() -> Iterator[list[object]]:
        for k in trials:
            for name, stack in images.items():
                for number, line in enumerate(stack[k]):
                    yield [int(examples.trial[k]), name, number, *(f"{value:.2f}" for value in line)]

    return _csv(["trial", "image", "row", *(f"hu_{column}" for column in range(width))], rows())


def _templates_csv(run: Run, arms: Sequence[str]) -> str:
    """Templates row by row, 1/HU, a column for every pixel of the row."""
    width = run.examples.template[arms[0]].shape[1]

    def rows() -> Iterator[list[object]]:
        for name in arms:
            for number, line in enumerate(run.examples.template[name]):
                yield [name, number, *(f"{value:.6g}" for value in line)]

    return _csv(["arm", "row", *(f"weight_{column}" for column in range(width))], rows())
