"""MRMC statistics against the exact theory of the Roe–Metz model, over thousands of simulated studies."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest

from taskct.metrics.mrmc.analysis import _many_readers, analyze
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.roe_metz import RoeMetz, Structure
from taskct.metrics.mrmc.sizing import Design
from validation.check import Check

N_STUDIES = 2000


@dataclass(frozen=True)
class Setting:
    """One kind of study: both modalities alike, so that the difference is null."""

    structure: Structure
    level: float
    design: Design
    mu: tuple[float, ...] | None = None
    """Separations of the modalities where they are not the configuration's own."""
    n_studies: int = N_STUDIES
    """Simulated studies."""

    @property
    def name(self) -> str:
        """What it is, in few words."""
        d = self.design
        if self.mu is not None:
            apart = " and ".join(map(str, self.mu))
            sizes = f"{d.n_readers} readers, {d.n_present} + {d.n_absent} cases"
            return f"Roe–Metz {self.structure} {self.level} with separations {apart}, {sizes}"
        groups = "fully crossed" if d.n_groups == 1 else f"split-plot in {d.n_groups} groups"
        sizes = f"{d.n_readers} readers, {d.n_present} + {d.n_absent} cases"
        return f"Roe–Metz {self.structure} {self.level}, {sizes}, {groups}"


SETTINGS = (
    Setting("HH", 0.855, Design(5, 50, 50)),
    Setting("LL", 0.702, Design(5, 50, 50)),
    Setting("HL", 0.855, Design(10, 30, 30)),
    Setting("LH", 0.855, Design(10, 100, 100, n_groups=2)),
    Setting("HH", 0.702, Design(12, 90, 60, n_groups=3)),
)
HARD = (
    Setting("HH", 0.961, Design(5, 50, 50)),
    Setting("LH", 0.961, Design(5, 50, 50), n_studies=2 * N_STUDIES),
    Setting("LH", 0.961, Design(8, 100, 100, n_groups=2)),
    Setting("HH", 0.855, Design(3, 50, 50)),
    Setting("HH", 0.855, Design(5, 50, 50), mu=(2.2, 1.5)),
    Setting("HH", 0.961, Design(4, 100, 100), mu=(3.4, 2.4)),
)
"""Where intervals with Satterthwaite's degrees of freedom fall short: an AUC near 1, few readers, unequal AUCs."""
TWO = (Setting("HH", 0.855, Design(2, 50, 50)), Setting("HL", 0.961, Design(2, 50, 50), mu=(2.5, 2.0)))
"""Two readers: intervals may be longer than they need be, never much shorter."""


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, setting in enumerate(SETTINGS):
        found += _of_setting(setting, np.random.default_rng([4, seed]))
    for seed, setting in enumerate(HARD):
        found += _hard(setting, np.random.default_rng([5, seed]))
    for seed, setting in enumerate(TWO):
        found += _hard(setting, np.random.default_rng([6, seed]), high=0.985)
    return found


def _hard(setting: Setting, rng: np.random.Generator, high: float = 0.965) -> list[Check]:
    """Coverage and, where AUCs differ, the size of a test of a margin; two readers may cover more than is required."""
    model = RoeMetz.published(setting.structure, setting.level, mu=setting.mu)
    aucs, differences = _analyses(model, setting, rng)
    areas = model.expected_auc()
    found = []
    for kind, results, true_value in (("AUC", aucs, areas[0]), ("difference", differences, areas[0] - areas[1])):
        covered = (results["ci_low"] <= true_value) & (true_value <= results["ci_high"])
        check = _coverage(kind, setting, covered)
        basis = check.basis if high == 0.965 else "required not to be short; two readers may cover more"
        found.append(replace(check, high=high, basis=basis))
    if setting.mu is not None:
        # The first is truly better by just the margin, so claiming that the second is not worse is an error.
        too_high = float(np.mean(differences["ci_high"] < areas[0] - areas[1]))
        claim = (
            f"false claims of non-inferiority at its margin, size 0.025: {setting.name}, {setting.n_studies} studies"
        )
        basis = "the size, and 4 standard errors of simulation"
        low = 0.011 if high == 0.965 else 0.0
        found.append(Check(claim, low, 0.039, too_high, expected=0.025, basis=basis))
    return found


def _of_setting(setting: Setting, rng: np.random.Generator) -> list[Check]:
    """Mean, variance, coverage and p values in one setting."""
    model = RoeMetz.published(setting.structure, setting.level)
    aucs, differences = _analyses(model, setting, rng)
    truth = float(model.expected_auc()[0])
    found = [_within("mean AUC", setting, aucs["value"], truth)]
    for kind, results, true_value, second in (("AUC", aucs, truth, None), ("difference", differences, 0.0, 1)):
        theory = model.auc_variance(setting.design, 0, second)
        squared = (results["value"] - true_value) ** 2
        unbiased = results["variance"] / theory
        found += [
            _within(f"variance of the {kind}, of simulated studies over theory", setting, squared / theory, 1.0),
            _within(f"U-statistic variance of the {kind}, mean over theory", setting, unbiased, 1.0),
            _biased_upward(kind, setting, results["variance_mle"] / theory),
            _coverage(kind, setting, (results["ci_low"] <= true_value) & (true_value <= results["ci_high"])),
        ]
    # The modalities are alike, so an interval holds the truth exactly where the test of no difference does not reject.
    check = _coverage("difference", setting, differences["p_value_fractional"] > 0.05)
    found.append(replace(check, claim=f"the same with fractional degrees of freedom, {check.claim}"))
    uniform = float(kstest(differences["p_value"], "uniform").pvalue)
    claim = f"Kolmogorov–Smirnov p of {N_STUDIES} p values of no difference being uniform: {setting.name}"
    return [*found, Check(claim, 1e-4, 1.0, uniform, basis="false alarm 1e-4")]


def _analyses(
    model: RoeMetz, setting: Setting, rng: np.random.Generator
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """What the analysis says of the first AUC and of the difference, in every study."""
    aucs, differences = [], []
    for study in range(setting.n_studies):
        ratings = model.simulate(rng, setting.design)
        # What `analyze` does, but for each reader's own results: those take three quarters of its time.
        modalities, pairs = _many_readers(ratings, moment_sums(ratings), [(0, 1)], 0.95, [])
        if study == 0 and (whole := analyze(ratings)) != replace(whole, modalities=modalities, differences=pairs):
            raise AssertionError("`analyze` does not rest on `_many_readers` alone")
        a, d = modalities["A"], pairs["A-B"]
        aucs.append([a.auc, a.variance, a.variance_mle, a.ci_low, a.ci_high])
        differences.append([d.auc, d.variance, d.variance_mle, d.ci_low, d.ci_high, d.p_value, d.p_value_fractional])
    names = ("value", "variance", "variance_mle", "ci_low", "ci_high", "p_value", "p_value_fractional")
    return (
        dict(zip(names, np.array(aucs, dtype=np.float64).T, strict=False)),
        dict(zip(names, np.array(differences, dtype=np.float64).T, strict=True)),
    )


def _within(what: str, setting: Setting, values: NDArray[np.float64], expected: float) -> Check:
    """The mean of one value a study, within 4 standard errors."""
    margin = 4.0 * float(values.std(ddof=1)) / math.sqrt(len(values))
    claim = f"{what}: {setting.name}, {len(values)} studies"
    low, high = expected - margin, expected + margin
    return Check(claim, low, high, float(values.mean()), expected=expected, basis="4 standard errors")


def _biased_upward(kind: str, setting: Setting, values: NDArray[np.float64]) -> Check:
    """The mean of the biased variance exceeds the true one by more than chance."""
    low = 1.0 + 4.0 * float(values.std(ddof=1)) / math.sqrt(len(values))
    claim = f"biased (MLE) variance of the {kind}, mean over theory, too large: {setting.name}, {len(values)} studies"
    return Check(claim, low, math.inf, float(values.mean()), basis="1 and 4 standard errors")


def _coverage(kind: str, setting: Setting, covered: NDArray[np.bool_]) -> Check:
    """How often a 95 % interval holds the true value."""
    claim = f"coverage of the 95 % interval of the {kind}: {setting.name}, {len(covered)} studies"
    return Check(
        claim, 0.935, 0.965, float(covered.mean()), expected=0.95, basis="required, over at least 2,000 studies"
    )
