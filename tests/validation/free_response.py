"""Marks of readers who search: figures of merit and their intervals over simulated studies."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from search_model import LocationModel, SearchModel
from taskct.metrics.froc import FigureOfMerit
from taskct.metrics.marks import MarkStudy
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.areas import DifferenceAUC
from taskct.metrics.mrmc.free_response import MarksAnalysis, analyze_marks
from taskct.metrics.mrmc.located import lroc_study
from taskct.metrics.mrmc.sizing import Components, size_study
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
N_PILOTS, N_LROC = 200, 600


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, setting in enumerate(SETTINGS):
        found += _of_setting(setting, np.random.default_rng([41, seed]))
    return [
        *found,
        *_of_sensitivity(np.random.default_rng([42, 0])),
        *_of_lroc(np.random.default_rng([43, 1])),
        *_of_lroc_sizing(np.random.default_rng([43, 0])),
    ]


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
            basis="at least 95 %, less 4 standard errors",
        )
    ]


def _of_lroc(rng: np.random.Generator) -> list[Check]:
    """Coverage of intervals of LROC areas over readers and cases, modalities alike."""
    model = LocationModel()
    found = [analyze(lroc_study(model.simulate(rng, 5, 50, 50)), pairs=[("A", "B")]) for _ in range(N_STUDIES)]
    truth = float(np.mean([one.modalities[name].auc for one in found for name in ("A", "B")]))
    areas = np.array([(one.modalities["A"].ci_low, one.modalities["A"].ci_high) for one in found])
    differences = np.array([(one.differences["A-B"].ci_low, one.differences["A-B"].ci_high) for one in found])
    return [
        Check(
            f"coverage of the 95 % interval of {what}: LROC area {truth:.2f}, 5 readers, 50 + 50 cases, {N_STUDIES:,} "
            "studies",
            0.935,
            0.965,
            _held(bounds, value),
            expected=0.95,
            basis="required, over at least 2,000 studies",
        )
        for what, bounds, value in (("the area", areas, truth), ("the difference", differences, 0.0))
    ]


def _of_lroc_sizing(rng: np.random.Generator) -> list[Check]:
    """A study of LROC areas is sized from pilots, then done many times."""
    model, n_readers = LocationModel((2.2, 1.9)), 8
    pilots = [_lroc_difference(model.simulate(rng, 6, 60, 60)) for _ in range(N_PILOTS)]
    parts = Components(*np.mean([astuple(pilot.components) for pilot in pilots], axis=0).tolist())
    delta = float(np.mean([pilot.auc for pilot in pilots]))
    (size,) = size_study(parts, delta, n_readers=[n_readers], power=0.8)
    design = size.design
    shown = [
        _lroc_difference(model.simulate(rng, n_readers, design.n_present, design.n_absent)).p_value < 0.05
        for _ in range(N_LROC)
    ]
    spread = 4.0 * math.sqrt(0.16 / N_LROC) + 0.04
    return [
        Check(
            f"LROC areas, power wanted 0.8, share of studies that show a difference of {delta:.3f}: {n_readers} "
            f"readers, {design.n_present} + {design.n_absent} cases, sized from {N_PILOTS} pilots, {N_LROC} studies",
            size.power - spread,
            size.power + spread,
            float(np.mean(shown)),
            expected=size.power,
            basis="4 standard errors, and 0.04 since the t distribution is an approximation",
        )
    ]


def _lroc_difference(study: MarkStudy) -> DifferenceAUC:
    return analyze(lroc_study(study)).differences["A-B"]


def _held(bounds: NDArray[np.float64], value: float) -> float:
    return float(np.mean((bounds[:, 0] <= value) & (value <= bounds[:, 1])))
