"""The Roe–Metz model of reader studies: simulation, and the exact mean and variance of the empirical AUC."""

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.sizing import Components, Design, design_variance

Structure = Literal["HH", "HL", "LH", "LL"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)
# Roe & Metz's twelve configurations, by the AUC they name: separation, and reader variance for high and low.
_LEVELS = {0.702: (0.75, 0.011, 0.0055), 0.855: (1.5, 0.030, 0.0055), 0.961: (2.5, 0.056, 0.0055)}
_CASES = {"H": (0.3, 0.3, 0.2, 0.2), "L": (0.1, 0.1, 0.2, 0.6)}  # var_c, var_tc, var_rc, var_trc


@dataclass(frozen=True)
class ScoreVariances:
    """Variances of the six random effects on the scores of one class of cases; in the unit of the score, squared.

    A modality's own variances are one number for all modalities, or one for each.
    """

    var_r: float
    """Reader."""
    var_c: float
    """Case."""
    var_rc: float
    """Reader by case."""
    var_tr: float | tuple[float, ...]
    """Modality by reader."""
    var_tc: float | tuple[float, ...]
    """Modality by case."""
    var_trc: float | tuple[float, ...]
    """Modality by reader by case; a reader's own noise is in it, as nothing is read twice."""


@dataclass(frozen=True)
class RoeMetz:
    """Scores with normal random effects: reader, case, modality and what they do to one another.

    The score of case k of class t by reader j in modality i is

        X = μ + R_jt + C_kt + (RC)_jkt + (τR)_ijt + (τC)_ikt + (τRC)_ijkt,

    with μ = `mu[i]` for present cases and 0 for absent ones. All effects are independent, those of a reader on the
    two classes too.

    Raises
    ------
    ValueError
        If there is no modality, a variance is negative, a tuple does not hold one number for each modality, or
        no variance is left in a modality.

    References
    ----------
    .. [1] Roe & Metz, Acad. Radiol. 4, 298 (1997).
    .. [2] Gallas & Hillis, J. Med. Imaging 1, 031006 (2014), variances by class and modality.
    """

    mu: tuple[float, ...]
    """Separation of present from absent cases in each modality."""
    absent: ScoreVariances
    """Variances on signal-absent cases."""
    present: ScoreVariances
    """Variances on signal-present cases."""

    def __post_init__(self) -> None:
        if not self.mu:
            raise ValueError("a model needs at least one modality")
        for variances in (self.absent, self.present):
            for field in fields(variances):
                values = np.atleast_1d(getattr(variances, field.name))
                if values.size not in (1, len(self.mu)) or not (np.isfinite(values) & (values >= 0.0)).all():
                    raise ValueError(
                        f"{field.name} is {values}; it must be ≥ 0, one number or one for each of "
                        f"{len(self.mu)} modalities"
                    )
        if not all(self._covariance(i, i, True, True, True) > 0.0 for i in range(len(self.mu))):
            raise ValueError("a modality without any variance")

    @classmethod
    def published(cls, structure: Structure, level: float, *, mu: tuple[float, ...] | None = None) -> "RoeMetz":
        """One of the twelve configurations of Roe & Metz.

        Parameters
        ----------
        structure
            Two letters, H(igh) or L(ow): correlation of scores of the same case, then variance among readers.
        level
            AUC that names the configuration: 0.702, 0.855 or 0.961; a ValueError for any other. It is that of a reader
            without reader effects, Φ(μ/√2); the mean over readers is a little lower, see `expected_auc`.
        mu
            Separations to use instead; two modalities with the configuration's own when left out.

        References
        ----------
        .. [1] Roe & Metz, Acad. Radiol. 4, 298 (1997), table 1; the numbers as in the configuration files of FDA's
           iRoeMetz.

        Examples
        --------
        >>> model = RoeMetz.published("LH", 0.855)
        >>> model.mu, model.absent.var_r, model.absent.var_trc
        ((1.5, 1.5), 0.03, 0.6)
        """
        if level not in _LEVELS or structure not in ("HH", "HL", "LH", "LL"):
            raise ValueError(f"no configuration {structure} {level}; wanted HH, HL, LH or LL and one of {[*_LEVELS]}")
        separation, *reader = _LEVELS[level]
        var_r = reader[structure[1] == "L"]
        var_c, var_tc, var_rc, var_trc = _CASES[structure[0]]
        variances = ScoreVariances(var_r, var_c, var_rc, var_tr=var_r, var_tc=var_tc, var_trc=var_trc)
        return cls(mu or (separation, separation), variances, variances)

    def expected_auc(self) -> NDArray[np.float64]:
        """Mean over readers and cases of the empirical AUC in each modality, shape `(n_modalities,)`."""
        return np.array([ndtr(self._separation(i)) for i in range(len(self.mu))], dtype=np.float64)

    def components(self, first: int, second: int | None = None) -> Components:
        """Components of the variance of a modality's empirical AUC, or of it minus that of the modality `second`.

        Exact: covariances of two successes, s = 1 where a present case scores above an absent one, are integrals of the
        bivariate normal density over the correlation of the two score differences [1]_.

        References
        ----------
        .. [1] Gallas & Hillis, J. Med. Imaging 1, 031006 (2014).

        Examples
        --------
        >>> parts = RoeMetz.published("HL", 0.855).components(0, 1)
        >>> parts.reader < parts.present
        True
        """

        def covariance(reader: bool, present: bool, absent: bool) -> float:
            """Covariance of two successes that share the reader or a case of either class."""
            if second is None:
                return self._success_covariance(first, first, reader, present, absent)
            return (
                self._success_covariance(first, first, reader, present, absent)
                + self._success_covariance(second, second, reader, present, absent)
                - 2.0 * self._success_covariance(first, second, reader, present, absent)
            )

        r, p, a = covariance(True, False, False), covariance(False, True, False), covariance(False, False, True)
        pa = covariance(False, True, True) - p - a
        rp, ra = covariance(True, True, False) - r - p, covariance(True, False, True) - r - a
        return Components(
            reader=r,
            present=p,
            absent=a,
            present_absent=pa,
            reader_present=rp,
            reader_absent=ra,
            reader_present_absent=covariance(True, True, True) - r - p - a - pa - rp - ra,
        )

    def auc_variance(self, design: Design, first: int, second: int | None = None) -> float:
        """Exact variance of a modality's reader-averaged empirical AUC, or of a difference, as for `components`."""
        return design_variance(self.components(first, second), design)

    def sample(self, rng: np.random.Generator, design: Design, *, n_studies: int) -> NDArray[np.float64]:
        """Scores of many studies, `(n_studies, n_modalities, n_readers, n_present + n_absent)`.

        Present cases come first; NaN where a reader does not rate a case. `rng` is advanced.
        """
        shape = (n_studies, len(self.mu), design.n_readers)
        scores = np.empty((*shape, design.n_present + design.n_absent))
        scores[..., : design.n_present] = self._draw(rng, self.present, (*shape, design.n_present))
        scores[..., : design.n_present] += np.array(self.mu)[:, None, None]
        scores[..., design.n_present :] = self._draw(rng, self.absent, (*shape, design.n_absent))
        in_group = [np.arange(n) * design.n_groups // n for n in (design.n_readers, design.n_present, design.n_absent)]
        scores[:, :, in_group[0][:, None] != np.concatenate(in_group[1:])] = np.nan
        return scores

    def simulate(self, rng: np.random.Generator, design: Design) -> Ratings:
        """Simulate one study: present cases first, modalities A, B, …; what a reader does not rate is NaN.

        Examples
        --------
        >>> model = RoeMetz.published("HH", 0.855)
        >>> ratings = model.simulate(np.random.default_rng(0), Design(4, 6, 8, n_groups=2))
        >>> ratings.scores.shape, int(np.isnan(ratings.scores[0, 0]).sum())
        ((2, 4, 14), 7)
        """
        n_present, n_absent = design.n_present, design.n_absent
        return Ratings(
            scores=self.sample(rng, design, n_studies=1)[0],
            signal_present=np.arange(n_present + n_absent) < n_present,
            modalities=tuple(chr(ord("A") + i) for i in range(len(self.mu))),
            readers=tuple(f"reader{j + 1}" for j in range(design.n_readers)),
            cases=tuple([f"present{k + 1}" for k in range(n_present)] + [f"absent{k + 1}" for k in range(n_absent)]),
        )

    def _draw(
        self, rng: np.random.Generator, variances: ScoreVariances, shape: tuple[int, int, int, int]
    ) -> NDArray[np.float64]:
        """Sum of the random effects of one class; shape (studies, modalities, readers, cases)."""
        n, i, j, k = shape
        v = variances
        effects = [
            (v.var_r, (n, 1, j, 1)),
            (v.var_c, (n, 1, 1, k)),
            (v.var_rc, (n, 1, j, k)),
            (v.var_tr, (n, i, j, 1)),
            (v.var_tc, (n, i, 1, k)),
        ]
        total = rng.standard_normal(shape) * self._standard_deviation(v.var_trc)
        for variance, extent in effects:
            total += rng.standard_normal(extent) * self._standard_deviation(variance)
        return total

    @staticmethod
    def _standard_deviation(variance: float | tuple[float, ...]) -> NDArray[np.float64]:
        """Square root, ready to multiply (studies, modalities, readers, cases)."""
        return np.sqrt(np.asarray(variance, dtype=np.float64).reshape(-1, 1, 1))

    def _covariance(self, i: int, j: int, reader: bool, present: bool, absent: bool) -> float:
        """Covariance of two differences (present score minus absent) of modalities i and j that share what is true."""
        total = 0.0
        for v, case in ((self.absent, absent), (self.present, present)):
            common, own = (v.var_r, v.var_c, v.var_rc), (v.var_tr, v.var_tc, v.var_trc)
            effects = (reader, case, reader and case)
            total += sum(variance for variance, shared in zip(common, effects, strict=True) if shared)
            if i == j:
                at_i = (float(np.broadcast_to(variance, len(self.mu))[i]) for variance in own)
                total += sum(variance for variance, shared in zip(at_i, effects, strict=True) if shared)
        return total

    def _separation(self, i: int) -> float:
        """Mean difference of a present and an absent score over its standard deviation."""
        return self.mu[i] / math.sqrt(self._covariance(i, i, True, True, True))

    def _success_covariance(self, i: int, j: int, reader: bool, present: bool, absent: bool) -> float:
        """Covariance of two successes, of modalities i and j, that share what is true."""
        scale = math.sqrt(self._covariance(i, i, True, True, True) * self._covariance(j, j, True, True, True))
        correlation = self._covariance(i, j, reader, present, absent) / scale
        return _event_covariance(self._separation(i), self._separation(j), correlation)


def _event_covariance(h: float, k: float, correlation: float) -> float:
    """Covariance of the events X < h and Y < k for standard normal X and Y of the given correlation; to 1e-9.

    The derivative by the correlation of the chance of both is the bivariate normal density, integrated here over
    the arcsine of the correlation (Drezner & Wesolowsky, J. Stat. Comput. Simul. 35, 101, 1990).
    """
    half = 0.5 * math.asin(min(max(correlation, -1.0), 1.0))
    sine = np.sin(half * (_NODES + 1.0))
    density = np.exp(-(h * h - 2.0 * h * k * sine + k * k) / (2.0 * (1.0 - sine) * (1.0 + sine)))
    return float(half * (_WEIGHTS @ density) / (2.0 * math.pi))
