"""Sizing: studies of the size that is asked for are simulated, analysed and tested as `taskct mrmc` does."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.comparisons import equivalence, noninferiority
from taskct.metrics.mrmc.analysis import _many_readers
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.roe_metz import RoeMetz, Structure
from taskct.metrics.mrmc.sizing import (
    Aim,
    Design,
    StudyPower,
    components_from_obuchowski_rockette,
    size_study,
    study_power,
)
from validation.check import Check

N_STUDIES = 1200
WANTED = 0.8


@dataclass(frozen=True)
class Plan:
    """What a study is sized for."""

    structure: Structure
    level: float
    mu: tuple[float, float]
    """Separations of the two modalities."""
    n_readers: int
    aim: Aim = "difference"
    noninferiority_margin: float = 0.0
    absent_per_present: float = 1.0
    n_groups: int = 1

    def sized(self, model: RoeMetz) -> tuple[float, StudyPower]:
        """The true difference and the smallest study that shows it."""
        first, second = model.expected_auc().tolist()
        (size,) = size_study(
            model.components(0, 1),
            first - second,
            n_readers=[self.n_readers],
            power=WANTED,
            absent_per_present=self.absent_per_present,
            n_groups=self.n_groups,
            aim=self.aim,
            noninferiority_margin=self.noninferiority_margin,
        )
        return first - second, size

    def name(self, size: StudyPower) -> str:
        """What it is, in few words."""
        d = size.design
        aim = self.aim if self.aim == "difference" else f"{self.aim} within {self.noninferiority_margin:g}"
        groups = "" if d.n_groups == 1 else f", split-plot in {d.n_groups} groups"
        apart = " and ".join(map(str, self.mu))
        return (
            f"Roe–Metz {self.structure} {self.level} with separations {apart}, {aim}: {d.n_readers} readers, "
            f"{d.n_present} + {d.n_absent} cases{groups}, {N_STUDIES} studies"
        )


PLANS = (
    Plan("HH", 0.855, (2.2, 1.5), 8),
    Plan("LL", 0.702, (1.2, 0.75), 5, absent_per_present=1.5),
    Plan("LL", 0.855, (2.0, 1.5), 8, n_groups=2),
    Plan("HL", 0.855, (1.5, 1.5), 6, aim="non-inferiority", noninferiority_margin=0.08),
    Plan("LL", 0.855, (1.5, 1.5), 8, aim="equivalence", noninferiority_margin=0.1),
)


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, plan in enumerate(PLANS):
        model = RoeMetz.published(plan.structure, plan.level, mu=plan.mu)
        delta, size = plan.sized(model)
        found += _of(plan.name(size), plan, size, delta, _studies(plan, model, size, np.random.default_rng([8, seed])))
    return [*found, *_published()]


def _published() -> list[Check]:
    """Cases that RJafroc needs for 10 readers with the variances that OR-DBM MRMC 2.51 prints of Van Dyke's data."""
    parts = components_from_obuchowski_rockette(
        var_tr=0.00020040,
        var_error=0.00080229,
        cov1=0.00034661,
        cov2=0.00034407,
        cov3=0.00023903,
        n_present=57,
        n_absent=57,
    )
    powers = [study_power(parts, Design(10, 81, n), 0.04380032, method="hillis").power for n in (81, 82)]
    claim = "power with 10 readers and {} cases, Van Dyke's variances and difference: published least for 0.8 is 163"
    basis = "example of RJafroc, vignette of chapter 11"
    return [
        Check(claim.format(162), 0.795, 0.8, powers[0], basis=basis),
        Check(claim.format(163), 0.8, 0.805, powers[1], basis=basis),
    ]


def _studies(plan: Plan, model: RoeMetz, size: StudyPower, rng: np.random.Generator) -> NDArray[np.float64]:
    """Difference, degrees of freedom and whether the aim was shown, of every study."""
    rows = []
    for _ in range(N_STUDIES):
        ratings = model.simulate(rng, size.design)
        part = _many_readers(ratings, moment_sums(ratings), [(0, 1)], 0.95, [])[1]["A-B"]
        if plan.aim == "difference":
            shown = part.p_value < 0.05
        else:
            test = noninferiority if plan.aim == "non-inferiority" else equivalence
            std_error = math.sqrt(part.interval_variance)
            shown = test(
                part.auc,
                std_error,
                noninferiority_margin=plan.noninferiority_margin,
                alpha=0.05,
                df=float(part.df_whole or math.inf),
            ).shown
        rows.append([part.auc, math.inf if part.df_bdg is None else part.df_bdg, shown])
    return np.array(rows, dtype=np.float64)


def _of(name: str, plan: Plan, size: StudyPower, delta: float, studies: NDArray[np.float64]) -> list[Check]:
    """Standard error, degrees of freedom and power of one plan, measured against what was predicted."""
    n = len(studies)
    squared = (studies[:, 0] - delta) ** 2 / size.std_error**2
    margin = 4.0 * float(squared.std(ddof=1)) / math.sqrt(n)
    spread = 4.0 * math.sqrt(size.power * (1.0 - size.power) / n) + 0.04
    median = float(np.median(studies[:, 1])) / size.df
    return [
        Check(
            f"variance of the difference, of simulated studies over what was predicted: {name}",
            1.0 - margin,
            1.0 + margin,
            float(squared.mean()),
            expected=1.0,
            basis="4 standard errors",
        ),
        Check(
            f"degrees of freedom (BDG), median of simulated studies over what was predicted: {name}",
            0.8,
            1.25,
            median,
            expected=1.0,
            basis="a quarter: one is a ratio of estimates, the other of their means",
        ),
        Check(
            f"power wanted {WANTED}, share of studies that show the aim: {name}",
            size.power - spread,
            size.power + spread,
            float(studies[:, 2].mean()),
            expected=size.power,
            basis="4 standard errors, and 0.04 since the t distribution is an approximation",
        ),
    ]
