"""Agreement of readers: coverage of the intervals of kappa, Gwet's AC and the intraclass correlation."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from taskct.metrics.mrmc.agreement import Chance, Weights, agreement_coefficient, intraclass_correlation
from validation.check import Check

N_STUDIES = 2000
SEPARATION = 1.5
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


@dataclass(frozen=True)
class Panel:
    """Readers who see a common impression of a case and noise of their own, and score it in categories."""

    n_readers: int
    n_cases: int
    shared: float
    """Share of the variance that readers have in common."""
    cuts: tuple[float, ...]
    """Between the categories, in standard deviations."""
    weights: Weights
    chance: Chance = "each reader's"
    what: str = ""

    def sample(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Scores of one study."""
        n = self.n_cases
        case = SEPARATION * (rng.random(n) < 0.5) + math.sqrt(self.shared) * rng.standard_normal(n)
        noise = math.sqrt(1.0 - self.shared) * rng.standard_normal((self.n_readers, n))
        return np.digitize(case + noise, self.cuts).astype(np.float64)

    @property
    def truth(self) -> float:
        """The coefficient of infinitely many cases, by quadrature over the common impression."""
        edges = np.array([-np.inf, *self.cuts, np.inf])
        joint = np.zeros((len(edges) - 1,) * 2)
        for mean in (0.0, SEPARATION):
            z = (edges[:, None] - mean - math.sqrt(self.shared) * _NODES) / math.sqrt(1.0 - self.shared)
            chances = np.diff(ndtr(z), axis=0)
            joint += 0.5 * (chances * _NODE_WEIGHTS) @ chances.T / math.sqrt(2.0 * math.pi)
        k = np.arange(len(joint))
        apart = np.abs(k[:, None] - k).astype(np.float64)
        distance = {"unweighted": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[self.weights]
        frequency = joint.sum(axis=0)
        expected = float(frequency @ distance @ frequency)
        if self.chance == "gwet":
            similar = 1.0 - distance / distance.max()
            scale = similar.sum() / (len(k) * (len(k) - 1))
            expected = float(distance.max() * (1.0 - scale * (frequency * (1.0 - frequency)).sum()))
        return 1.0 - float((joint * distance).sum()) / expected


FIVE = (-0.8, 0.0, 0.8, 1.6)
PANELS = (
    Panel(2, 50, 0.7, FIVE, "linear", what="kappa with linear weights"),
    Panel(2, 100, 0.95, FIVE, "linear", what="kappa with linear weights"),
    Panel(2, 60, 0.7, FIVE, "quadratic", what="kappa with quadratic weights"),
    Panel(4, 50, 0.7, FIVE, "quadratic", what="kappa with quadratic weights"),
    Panel(4, 50, 0.7, FIVE, "quadratic", "gwet", what="Gwet's AC2 with quadratic weights"),
    Panel(2, 100, 0.7, (0.75,), "unweighted", what="kappa of two categories"),
)
RARE = Panel(2, 50, 0.7, (-0.8,), "unweighted", what="kappa of two categories, one of them rare")
ICC = ((3, 50, 0.7), (5, 50, 0.5), (8, 100, 0.8))
"""Readers, cases, and the share of a reader's variance that is of cases."""
FEW_WHO_DIFFER = (4, 100, 0.9)
"""What few readers differ in is nearly a third of the disagreement, and hardly known."""


def checks() -> list[Check]:
    """All claims of this area."""
    found = [_of(panel, seed) for seed, panel in enumerate((*PANELS, RARE))]
    return [*found, *(_icc(seed, *study) for seed, study in enumerate((*ICC, FEW_WHO_DIFFER)))]


def _of(panel: Panel, seed: int) -> Check:
    rng, truth = np.random.default_rng([19, seed]), panel.truth
    covered = 0
    for _ in range(N_STUDIES):
        one = agreement_coefficient(panel.sample(rng), weights=panel.weights, chance=panel.chance)
        covered += one.ci_low <= truth <= one.ci_high
    claim = (
        f"coverage of the 95 % interval of {panel.what}: {panel.n_readers} readers, {panel.n_cases} cases, "
        f"{len(panel.cuts) + 1} categories, true value {truth:.2f}, {N_STUDIES} studies"
    )
    low, high, basis = 0.935, 0.965, "required, over at least 2,000 studies"
    if panel is RARE:
        low, high, basis = 0.85, 0.99, "reported as it is"
    return Check(claim, low, high, covered / N_STUDIES, expected=0.95, basis=basis)


def _icc(seed: int, n_readers: int, n_cases: int, shared: float) -> Check:
    rng, of_readers = np.random.default_rng([20, seed]), 0.04
    truth, covered = shared / (1.0 + of_readers), 0
    for _ in range(N_STUDIES):
        case = math.sqrt(shared) * rng.standard_normal(n_cases)
        noise = math.sqrt(1.0 - shared) * rng.standard_normal((n_readers, n_cases))
        offset = math.sqrt(of_readers) * rng.standard_normal((n_readers, 1))
        one = intraclass_correlation(case + noise + offset)
        covered += one.ci_low <= truth <= one.ci_high
    claim = (
        f"coverage of the 95 % interval of ICC(2,1): {n_readers} readers, {n_cases} cases, true value {truth:.2f}, "
        f"{N_STUDIES} studies"
    )
    low, high, basis = 0.93, 0.97, "an allowance of 0.02: it approximates"
    if (n_readers, n_cases, shared) == FEW_WHO_DIFFER:
        low, high, basis = 0.9, 0.99, "reported as it is"
    return Check(claim, low, high, covered / N_STUDIES, expected=0.95, basis=basis)
