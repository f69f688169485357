"""A program against readers: coverage, one-sided size and power of the comparison, in simulated studies."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.margins import law_margin_tests
from taskct.metrics.mrmc.program import _mean_reader
from taskct.metrics.mrmc.program_sizing import ProgramPilot, size_program_study
from taskct.metrics.mrmc.roe_metz import RoeMetz, ScoreVariances
from taskct.metrics.mrmc.sizing import Design
from validation.check import Check

N_STUDIES = 4000
N_POWER = 800


@dataclass(frozen=True)
class Setting:
    """Readers and a program of given AUCs on the same cases."""

    design: Design
    readers_auc: float
    """Of a reader without reader effects."""
    program_auc: float
    var_reader: float = 0.03
    """Variance among readers, of scores whose case and noise variances sum to 1."""

    @property
    def model(self) -> RoeMetz:
        """The program is a modality without any effect of readers: all who use it say the same."""
        both = ScoreVariances(0.0, 0.3, 0.0, (self.var_reader, 0.0), (0.1, 0.7), (0.6, 0.0))
        separations = (
            math.sqrt(2.0 * (1.0 + self.var_reader)) * ndtri(self.readers_auc),
            math.sqrt(2.0) * ndtri(self.program_auc),
        )
        return RoeMetz(tuple(map(float, separations)), both, both)

    @property
    def name(self) -> str:
        """What it is, in few words."""
        d = self.design
        groups = "" if d.n_groups == 1 else f" in {d.n_groups} groups"
        return (
            f"{d.n_readers} readers of AUC {self.readers_auc:g}, scatter {self.var_reader:g}, a program of "
            f"{self.program_auc:g}, {d.n_present} + {d.n_absent} cases{groups}"
        )

    def differences(self, rng: np.random.Generator, n: int) -> list[DifferenceLaw]:
        """What is found in each of `n` studies."""
        scores = self.model.sample(rng, self.design, n_studies=n)
        truth = np.arange(scores.shape[-1]) < self.design.n_present
        labels = np.arange(len(truth))
        with np.errstate(invalid="ignore"):
            program = np.fmax.reduce(scores[:, 1], axis=1)  # what any reader of the case was told
        return [_mean_reader(p, s, truth, labels) for p, s in zip(program, scores[:, 0], strict=True)]


SETTINGS = (
    Setting(Design(3, 60, 60), 0.85, 0.85),
    Setting(Design(5, 100, 100), 0.9, 0.95),
    Setting(Design(8, 40, 80), 0.88, 0.8),
    Setting(Design(10, 50, 50), 0.95, 0.95),
    Setting(Design(6, 80, 80, n_groups=2), 0.85, 0.9),
)
HARD = Setting(Design(3, 100, 100), 0.95, 0.95, var_reader=0.112)
"""A mean of three skew AUCs, which is skew itself."""


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, setting in enumerate((*SETTINGS, HARD)):
        found += _of(setting, setting.differences(np.random.default_rng([17, seed]), N_STUDIES), hard=setting is HARD)
    for seed, (setting, margin) in enumerate(
        ((Setting(Design(8, 2, 2), 0.85, 0.85), 0.08), (Setting(Design(6, 2, 2), 0.8, 0.9), None))
    ):
        found.append(_power(setting, margin, np.random.default_rng([18, seed])))
    return found


def _of(setting: Setting, studies: list[DifferenceLaw], *, hard: bool) -> list[Check]:
    readers, program = setting.model.expected_auc().tolist()
    truth = program - readers
    bounds = np.array([one.bounds(0.95) for one in studies])
    missed: NDArray[np.bool_] = np.stack([bounds[:, 0] > truth, bounds[:, 1] < truth])
    above, below = missed.mean(axis=1).tolist()
    n = len(studies)
    low, high, basis = 0.935, 0.965, "required, over at least 2,000 studies"
    most = 0.03
    if hard:
        low, high, most, basis = 0.9, 1.0, 0.1, "reported as it is"
    found = [
        Check(
            f"coverage of the 95 % interval, program less mean reader: {setting.name}, {n} studies",
            low,
            high,
            1.0 - above - below,
            expected=0.95,
            basis=basis,
        ),
        Check(
            f"claims that the program is not worse by what it is worse, size 0.025: {setting.name}, {n} studies",
            0.0,
            0.03,
            above,
            expected=0.025,
            basis="at most 0.03 required; fewer are on the safe side",
        ),
    ]
    if hard:
        claim = f"claims that the readers are better by more than they are, size 0.025: {setting.name}, {n} studies"
        return [*found, Check(claim, 0.0, most, below, expected=0.025, basis=basis)]
    variances = np.array([one.error.variance for one in studies])
    theory = setting.model.auc_variance(setting.design, 1, 0)
    width = 4.0 * float(variances.std(ddof=1)) / theory / math.sqrt(n)
    claim = f"variance of the difference, mean over theory: {setting.name}, {n} studies"
    ratio = float(variances.mean()) / theory
    basis = "4 standard errors, and 0.1 since DeLong's covariance is a little large in small studies"
    return [*found, Check(claim, 1.0 - width, 1.1 + width, ratio, expected=1.0, basis=basis)]


def _power(setting: Setting, margin: float | None, rng: np.random.Generator) -> Check:
    model = setting.model
    readers, program = model.expected_auc().tolist()
    pilot = ProgramPilot(readers, model.components(0), model.components(1), model.components(0, 1))
    alpha = 0.05 if margin is None else 0.025
    (size,) = size_program_study(
        pilot, program - readers, n_readers=[setting.design.n_readers], margin=margin, alpha=alpha
    )
    sized = Setting(size.design, setting.readers_auc, setting.program_auc)
    shown = [
        one.p_value() < alpha
        if margin is None
        else law_margin_tests(one, noninferiority_margin=margin, confidence=0.95)[0].shown
        for one in sized.differences(rng, N_POWER)
    ]
    aim = "a difference" if margin is None else f"non-inferiority by {margin:g}"
    return Check(
        f"power wanted 0.8, share of studies that show {aim}: {sized.name}, {N_POWER} studies",
        0.8 - 4.0 * math.sqrt(0.16 / N_POWER),
        0.9,
        float(np.mean(shown)),
        expected=size.power,
        basis="4 standard errors below, an allowance of 0.1 above: sizes are on the safe side",
    )
