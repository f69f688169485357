"""Image quality of an arm in the conventions of public benchmarks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.conventions import CONVENTIONS, quality_in
from taskct.metrics.intervals import bootstrap_means
from taskct.study.resampling import Resampling, interval_json

PER_CLASS = 300
"""The first test trials of each class that are measured: enough to set a figure beside another's."""


def measured_trials(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of the trials that are measured, ascending, from the truth of all, `(n,)`."""
    classes = np.flatnonzero(present)[:PER_CLASS], np.flatnonzero(~present)[:PER_CLASS]
    return np.sort(np.concatenate(classes))


def convention_rows(
    settings: Settings, images: NDArray[np.floating], reference: NDArray[np.floating], resampling: Resampling
) -> list[dict[str, Any]]:
    """Rows of `conventions.json` of one arm, but for its name: means over images, with their intervals.

    `images` and `reference` are those of all test trials, HU, `(n, height, width)`. A PSNR is None where an image
    equals its reference in that convention.
    """
    chosen = measured_trials(resampling.unit.present)
    x, y = images[chosen], reference[chosen]
    low = settings.evaluation.data_low_hu
    span = low, low + settings.evaluation.data_range_hu
    found = {name: quality_in(one, x, y, study_range_hu=span) for name, one in CONVENTIONS.items()}
    columns = np.stack([values for one in found.values() for values in one.values()], axis=1)
    finite = np.asarray(np.isfinite(columns).all(axis=0))
    cases = None if resampling.unit.cases is None else resampling.unit.cases[chosen]
    if cases is not None and len(np.unique(cases)) < 2:
        cases = None
    intervals = bootstrap_means(np.where(finite, columns, 0.0), clusters=cases, **resampling.how)
    told = [interval_json(one) if known else None for one, known in zip(intervals, finite.tolist(), strict=True)]
    width = len(told) // len(found)
    return [
        {"convention": name, "n_trials": len(chosen), **dict(zip(one, told[width * i : width * (i + 1)], strict=True))}
        for i, (name, one) in enumerate(found.items())
    ]


def explained() -> list[dict[str, str]]:
    """Every convention in words, with its source."""
    return [{"name": name, "text": one.text, "source": one.source} for name, one in CONVENTIONS.items()]
