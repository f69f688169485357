"""The figures of a page as files: SVG and PNG, and what they show as CSV."""

import csv
import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from taskct.files import whole_folder
from taskct.literal import csv_text, figure_text
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import roc_curve
from taskct.names import LOW_DOSE
from taskct.report import figures, harm
from taskct.report.axes import axes_of, axes_rows, axis_figure
from taskct.report.families import main_observer
from taskct.report.run import Floats, HarmMaps, PhysicsCurves, Run
from taskct.report.tradeoff import first_figure, tradeoff_figure

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
    arms = run.standing
    denoised = [name for name in arms if name in run.examples.denoised]
    found = {
        "first": FigureFile(lambda: first_figure(run), lambda: _tradeoff_csv(run, main_observer(run))),
        "tradeoff": FigureFile(lambda: tradeoff_figure(run), lambda: _tradeoff_csv(run)),
        "roc": FigureFile(lambda: figures.roc_figure(run, arms), lambda: _roc_csv(run)),
    }
    for name, present in (("present", True), ("absent", False)):
        trials = np.flatnonzero(run.examples.signal_present == present)[:_PANEL_TRIALS].tolist()
        if trials:
            found[f"images-{name}"] = FigureFile(
                lambda trials=trials: figures.panel_figure(run.examples, run.task, denoised, trials, label=run.label),  # type: ignore[misc]
                lambda trials=trials: _images_csv(run, denoised, trials),  # type: ignore[misc]
            )
    for axis in axes_of(run):
        found[f"axis-{axis.name}"] = FigureFile(
            lambda axis=axis: axis_figure(run, axis, main_observer(run)),  # type: ignore[misc]
            lambda axis=axis: _axis_csv(run, axis.name),  # type: ignore[misc]
        )
    if (maps := run.harm_maps) is not None:
        shown = harm.harm_arms(run, maps)
        found["spectra"] = FigureFile(
            lambda: harm.spectra_figure(run, maps), lambda: _spectra_csv(maps, [LOW_DOSE, *shown])
        )
        for kind, of_kind in (("site", maps.site_map), ("region", maps.region_map)):
            mine = {name: of_kind[name] for name in shown if name in of_kind}
            if mine:
                found[f"harm-{kind}"] = FigureFile(
                    lambda mine=mine: _maps_figure({run.label(name): image for name, image in mine.items()}),  # type: ignore[misc]
                    lambda mine=mine: _rows_csv(mine, "hu", ".3f"),  # type: ignore[misc]
                )
    if (curves := run.physics_curves) is not None:
        found["physics"] = FigureFile(
            lambda: harm.physics_figure(run, curves),
            lambda: _physics_csv(curves, [LOW_DOSE, *harm.physics_arms(run, curves)]),
        )
    templates = [name for name in arms if name in run.examples.template]
    if templates:
        found["templates"] = FigureFile(
            lambda: figures.template_figure(run.examples, templates, label=run.label),
            lambda: _rows_csv({name: run.examples.template[name] for name in templates}, "weight", ".6g"),
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


def _tradeoff_csv(run: Run, only: str | None = None) -> str:
    """Every arm and seed with its intervals, for all observers or for one."""
    quality = ("rmse_hu", "psnr_db", "ssim")
    header = ["arm", "seed", "lambda", "alpha", "price", "observer", *_bounds("auc"), *_bounds("auc_in_limit")]
    header += [cell for name in quality for cell in _bounds(name)]

    def rows() -> Iterator[list[object]]:
        for arm in run.summary.arms:
            measured = [cell for name in quality for cell in _cells(getattr(arm.image_quality, name))]
            weights: list[object] = ["" if one is None else one for one in (arm.lambda_, arm.alpha, arm.price)]
            for observer, auc in arm.observers.items():
                if only not in (None, observer):
                    continue
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
                    yield [arm.name, arm.seed, observer, float(f"{fpf:.6g}"), float(f"{tpf:.6g}")]

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
                    yield [int(examples.trial[k]), name, number, *(float(f"{value:.2f}") for value in line)]

    return _csv(["trial", "image", "row", *(f"hu_{column}" for column in range(width))], rows())


def _rows_csv(images: Mapping[str, Floats], unit: str, form: str) -> str:
    """Images of arms row by row, a column for every pixel of the row."""
    width = max(image.shape[1] for image in images.values())

    def rows() -> Iterator[list[object]]:
        for name, image in images.items():
            for number, line in enumerate(image):
                yield [name, number, *(float(format(value, form)) for value in line)]

    return _csv(["arm", "row", *(f"{unit}_{column}" for column in range(width))], rows())


def _spectra_csv(maps: HarmMaps, arms: Sequence[str]) -> str:
    def rows() -> Iterator[list[object]]:
        for name in arms:
            columns = [of_kind.get(name) for of_kind in (maps.nps, maps.ttf)]
            for i, frequency in enumerate(maps.frequency_per_mm):
                values = ("" if one is None or not np.isfinite(one[i]) else float(f"{one[i]:.6g}") for one in columns)
                yield [name, float(f"{frequency:.6g}"), *values]

    return _csv(["arm", "frequency_per_mm", "noise_power_hu2_mm2", "transfer"], rows())


def _physics_csv(curves: PhysicsCurves, arms: Sequence[str]) -> str:
    kinds = (
        ("noise_power_over_low_dose", curves.frequency_per_mm, curves.nps_ratio),
        ("noise_hu", curves.distance_mm, curves.noise_by_position),
    )
    rows = (
        [name, kind, float(f"{x:.6g}"), float(f"{y:.6g}")]
        for name in arms
        for kind, axis, by_arm in kinds
        if name in by_arm
        for x, y in zip(axis, by_arm[name], strict=True)
        if np.isfinite(y)
    )
    return _csv(["arm", "what", "frequency_per_mm_or_distance_mm", "value"], rows)


def _maps_figure(maps: Mapping[str, Floats]) -> Figure:
    """Maps of harm by label of the arm, on one scale that is symmetric about zero."""
    limit = max(float(np.nanmax(np.abs(image))) for image in maps.values()) or 1.0
    with figures.style():
        figure = figures.new_figure(2.4 * len(maps) + 0.9, 2.7)
        axes = figure.subplots(1, len(maps), squeeze=False)[0]
        for ax, (name, image) in zip(axes, maps.items(), strict=True):
            shown = ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
            ax.set(title=figure_text(name), xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        figure.colorbar(shown, ax=list(axes), label="image minus reference (HU)", shrink=0.9)
    return figure
