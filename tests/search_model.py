"""A model of readers who search: marks whose mean figures of merit are known."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from taskct.metrics.marks import NO_LESION, CaseReading, MarkStudy, ScoredMark, TrueLesion

THRESHOLD = -0.5
"""What a reader is less sure of is not marked."""
MORE_LESIONS = (2, 0.3)
"""A diseased case has one lesion and a binomial number more."""


@dataclass(frozen=True)
class SearchModel:
    """Lesions are rated by a normal law, false marks come by Poisson's.

    A lesion's rating has the mean `mu` of its modality, and effects of reader, modality by reader, lesion, modality by
    lesion, and the rest, of variance 1 in all but for readers. A case has a Poisson number of false marks whose mean
    varies from case to case by Gamma's law, the same for all readers; they are rated by the standard normal law.
    """

    mu: tuple[float, ...] = (1.5, 1.5)
    false_marks: float = 1.0
    """Mean number of a case, marked or not."""
    shape: float = 2.0
    """Of Gamma's law."""
    var_r: float = 0.03
    var_tr: float = 0.03
    var_c: float = 0.3
    var_tc: float = 0.1

    def mean(self, modality: int) -> float:
        """Mean of the weighted AFROC area, and of the AFROC area, since all lesions are alike."""
        spread = math.sqrt(1.0 + self.var_r + self.var_tr)
        mu = self.mu[modality]
        marked = quad(lambda y: norm.pdf(y, mu, spread) * self._none_above(y), THRESHOLD, mu + 10.0 * spread)[0]
        return float(marked + 0.5 * norm.cdf(THRESHOLD, mu, spread) * self._none_above(THRESHOLD))

    def _none_above(self, rating: float) -> float:
        """Chance that a case has no false mark rated above."""
        return float((1.0 + self.false_marks * norm.sf(rating) / self.shape) ** -self.shape)

    def simulate(self, rng: np.random.Generator, n_readers: int, n_diseased: int, n_normal: int) -> MarkStudy:
        """One study; diseased cases come first."""
        n_modalities, n_cases = len(self.mu), n_diseased + n_normal
        n_lesions = 1 + rng.binomial(*MORE_LESIONS, size=n_diseased)
        lesion_case = np.repeat(np.arange(n_diseased), n_lesions)
        rating = self._lesions(rng, n_readers, len(lesion_case))
        n_false = rng.poisson(
            self.false_marks * rng.gamma(self.shape, 1.0 / self.shape, size=n_cases),
            size=(n_modalities, n_readers, n_cases),
        )
        at = np.stack(np.unravel_index(np.repeat(np.arange(n_false.size), n_false.ravel()), n_false.shape), axis=1)
        false_rating = rng.standard_normal(len(at))
        seen = false_rating > THRESHOLD
        hit = np.argwhere(rating > THRESHOLD)
        false_at = np.c_[at[seen], np.full(int(seen.sum()), NO_LESION)]
        hit_at = np.c_[hit[:, :2], lesion_case[hit[:, 2]], hit[:, 2]]
        return MarkStudy(
            modalities=tuple("ABCD"[:n_modalities]),
            readers=tuple(f"reader{r + 1}" for r in range(n_readers)),
            cases=tuple(f"case{c + 1}" for c in range(n_cases)),
            lesion_case=lesion_case.astype(np.intp),
            lesion_weight=1.0 / n_lesions[lesion_case],
            read=np.ones((n_modalities, n_readers, n_cases), dtype=np.bool_),
            mark_at=np.concatenate([false_at, hit_at]).astype(np.intp),
            mark_rating=np.concatenate([false_rating[seen], rating[tuple(hit.T)]]),
        )

    def _lesions(self, rng: np.random.Generator, n_readers: int, n_lesions: int) -> NDArray[np.float64]:
        m = len(self.mu)
        effects = [
            (self.var_r, (1, n_readers, 1)),
            (self.var_tr, (m, n_readers, 1)),
            (self.var_c, (1, 1, n_lesions)),
            (self.var_tc, (m, 1, n_lesions)),
            (1.0 - self.var_c - self.var_tc, (m, n_readers, n_lesions)),
        ]
        whole = np.array(self.mu)[:, None, None] + np.zeros((m, n_readers, n_lesions))
        for variance, shape in effects:
            whole = whole + math.sqrt(variance) * rng.standard_normal(shape)
        return whole


@dataclass(frozen=True)
class LocationModel:
    """Readers mark the one most suspicious of many places of each image: LROC.

    The place of the signal is rated by a normal law, with effects of reader, modality by reader, case and the rest; the
    most suspicious of the other places by the law of the largest of `n_places` standard normal numbers, with a share
    that all readers and modalities have in common.
    """

    mu: tuple[float, ...] = (2.0, 2.0)
    n_places: int = 9
    var_r: float = 0.03
    var_tr: float = 0.02
    var_c: float = 0.3

    def simulate(self, rng: np.random.Generator, n_readers: int, n_present: int, n_absent: int) -> MarkStudy:
        """One study with a mark on every image; cases with the signal come first."""
        m, n = len(self.mu), n_present + n_absent
        common, own = math.sqrt(self.var_c), math.sqrt(1.0 - self.var_c)
        other = common * rng.standard_normal((self.n_places, n))
        elsewhere = (other + own * rng.standard_normal((m, n_readers, self.n_places, n))).max(axis=2)
        reader = math.sqrt(self.var_r) * rng.standard_normal((1, n_readers, 1))
        reader = reader + math.sqrt(self.var_tr) * rng.standard_normal((m, n_readers, 1))
        case = common * rng.standard_normal(n_present)
        signal = np.array(self.mu)[:, None, None] + reader + case + own * rng.standard_normal((m, n_readers, n_present))
        found = np.zeros((m, n_readers, n), dtype=np.bool_)
        found[..., :n_present] = signal > elsewhere[..., :n_present]
        rating = elsewhere.copy()
        rating[..., :n_present] = np.maximum(signal, elsewhere[..., :n_present])
        at = np.stack(np.unravel_index(np.arange(rating.size), rating.shape), axis=1)
        lesion = np.where(found.ravel(), at[:, 2], NO_LESION)
        return MarkStudy(
            modalities=tuple("ABCD"[:m]),
            readers=tuple(f"reader{r + 1}" for r in range(n_readers)),
            cases=tuple(f"case{c + 1}" for c in range(n)),
            lesion_case=np.arange(n_present),
            lesion_weight=np.ones(n_present),
            read=np.ones(rating.shape, dtype=np.bool_),
            mark_at=np.c_[at, lesion].astype(np.intp),
            mark_rating=rating.ravel(),
        )


def one_rating_a_case(scores: NDArray[np.float64], present: NDArray[np.bool_]) -> MarkStudy:
    """A rating study as marks: on the lesion where there is one, else a false mark."""
    cases = [f"c{index}" for index in range(len(present))]
    readings = [CaseReading(f"m{m}", f"r{r}", case) for m, r in np.ndindex(*scores.shape[:2]) for case in cases]
    lesions = [TrueLesion(case, "x") for case, one in zip(cases, present, strict=True) if one]
    marks = [
        ScoredMark(f"m{m}", f"r{r}", cases[c], "x" if present[c] else None, float(scores[m, r, c]))
        for m, r, c in np.ndindex(*scores.shape)
    ]
    return MarkStudy.of(readings, lesions, marks)
