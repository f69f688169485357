"""Marks of readers who search: figures of merit and their intervals over simulated studies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_model import SearchModel
from taskct.metrics.froc import FigureOfMerit
from taskct.metrics.mrmc.free_response import MarksAnalysis, analyze_marks
from validation.check import Check

N_STUDIES = 2000


@dataclass(frozen=True)
class SearchSetting:
    """One kind of study; both modalities are alike."""

    n_readers: int
    n_diseased: int
    n_normal: int
    figure: str = "wafroc"
    mu: float = 1.5
    required: bool = True
    """Whether the coverage is."""

    @property
    def name(self) -> str:
        """What it is, in few words."""
        words = FigureOfMerit(self.figure).words
        return f"{words}, {self.n_readers} readers, {self.n_diseased} + {self.n_normal} cases"


SETTINGS = (
    SearchSetting(3, 50, 50),
    SearchSetting(4, 50, 50, "hr-auc"),
    SearchSetting(5, 25, 25),
    SearchSetting(2, 50, 50, required=False),
)
N_SENSITIVITY = 150
"""Studies of the sensitivity at a number of false marks: each resamples its cases a thousand times."""


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, setting in enumerate(SETTINGS):
        found += _of_setting(setting, np.random.default_rng([41, seed]))
    return [*found, *_of_sensitivity(np.random.default_rng([42, 0]))]


def _of_setting(setting: SearchSetting, rng: np.random.Generator) -> list[Check]:
    model, figure = SearchModel((setting.mu, setting.mu)), FigureOfMerit(setting.figure)
    analyses = [
        analyze_marks(model.simulate(rng, setting.n_readers, setting.n_diseased, setting.n_normal), figure)
        for _ in range(N_STUDIES)
    ]
    values = np.array([found.modalities["A"].value for found in analyses])
    errors = np.array([found.differences["A-B"].value for found in analyses])
    predicted = np.array([found.differences["A-B"].std_error for found in analyses]) ** 2
    found = []
    truth = float(values.mean())
    if setting.figure in ("wafroc", "afroc"):
        truth = model.mean(0)
        margin = 4.0 * float(values.std(ddof=1)) / math.sqrt(N_STUDIES)
        found.append(
            Check(
                f"mean of the {setting.name}, {N_STUDIES:,} studies, against the integral",
                truth - margin,
                truth + margin,
                float(values.mean()),
                expected=truth,
                basis="4 standard errors",
            )
        )
    ratio = predicted / float((errors**2).mean())
    spread = 4.0 * math.sqrt((ratio.var() + 2.0) / N_STUDIES)
    found.append(
        Check(
            f"variance of the difference, mean over that of simulated studies: {setting.name}, {N_STUDIES:,} studies",
            1.0 - spread,
            1.0 + spread,
            float(ratio.mean()),
            expected=1.0,
            basis="4 standard errors",
        )
    )
    return [*found, *_coverage(setting, analyses, truth)]


def _coverage(setting: SearchSetting, analyses: Sequence[MarksAnalysis], truth: float) -> list[Check]:
    of_figure = np.array([(one.modalities["A"].ci_low, one.modalities["A"].ci_high) for one in analyses])
    of_difference = np.array([(one.differences["A-B"].ci_low, one.differences["A-B"].ci_high) for one in analyses])
    basis = "required, over at least 2,000 studies"
    low, high = 0.935, 0.965
    if not setting.required:
        low, high, basis = 0.85, 0.99, "reported as it is: two readers are too few"
    return [
        Check(
            f"coverage of the 95 % interval of {what}: {setting.name}, {len(analyses):,} studies",
            low,
            high,
            _held(bounds, value),
            expected=0.95,
            basis=basis,
        )
        for what, bounds, value in (("the figure", of_figure, truth), ("the difference", of_difference, 0.0))
    ]


def _of_sensitivity(rng: np.random.Generator) -> list[Check]:
    """Coverage for the one figure whose covariance is of the bootstrap."""
    model, figure = SearchModel((1.2, 1.2), false_marks=1.5), FigureOfMerit("sensitivity@0.5")
    bounds = []
    for _ in range(N_SENSITIVITY):
        found = analyze_marks(model.simulate(rng, 4, 50, 50), figure).differences["A-B"]
        bounds.append((found.ci_low, found.ci_high))
    margin = 4.0 * math.sqrt(0.95 * 0.05 / N_SENSITIVITY)
    return [
        Check(
            f"coverage of the 95 % interval of a difference: {figure.words}, 4 readers, 50 + 50 cases, "
            f"{N_SENSITIVITY} studies",
            0.95 - margin,
            1.0,
            _held(np.array(bounds), 0.0),
            expected=0.95,
            basis="95 % less 4 standard errors; it errs to the wide side",
        )
    ]


def _held(bounds: NDArray[np.float64], value: float) -> float:
    return float(np.mean((bounds[:, 0] <= value) & (value <= bounds[:, 1])))
