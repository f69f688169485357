"""U-statistic ("one-shot") variance of the reader-averaged AUC in any design, and its biased twin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.mrmc.moments import MomentSums, centred, distinct
from taskct.metrics.mrmc.sizing import Components

_ORDER = (3, 5, 6, 4, 1, 2, 0)  # which way of the table of moments belongs to each field of `Components`


@dataclass(frozen=True)
class OneShot:
    """Covariance of the modalities' reader-averaged AUCs, and the moments of successes behind it.

    The covariance is Σ cₖ·Mₖ over the eight moments of the table in `MomentSums`, where cₖ is the share of pairs of
    successes that moment k is about, less 1 for M8. A moment that the design holds no pair for is NaN; its cₖ is 0.
    Arrays over two modalities have the shape `(n_modalities, n_modalities, …)`.
    """

    auc: NDArray[np.float64]  # reader-averaged AUC, shape `(n_modalities,)`
    moments: NDArray[np.float64]  # unbiased M1 to M8, last axis 8
    moments_mle: NDArray[np.float64]  # of the empirical distribution: what is not shared may coincide; last axis 8
    coefficients: NDArray[np.float64]  # c1 to c8, last axis 8
    covariance: NDArray[np.float64]  # unbiased; a variance in it can be negative
    covariance_centred: NDArray[np.float64]  # the same from successes less the AUC; equal where all weigh the same
    covariance_mle: NDArray[np.float64]  # biased twin of `covariance`, as FDA's iMRMC has it
    covariance_mle_centred: NDArray[np.float64]  # that of `covariance_centred`: its variances are sums of squares
    components: NDArray[np.float64]  # unbiased, of successes less the AUC; last axis 7, as the fields of `Components`
    components_mle: NDArray[np.float64]  # the same of the empirical distribution
    shares: NDArray[np.float64]  # Σ shares·components is `covariance_centred`; last axis 7
    of_present: NDArray[np.float64]  # what each present case adds to the AUC, beyond its share, `(m, n_present)`
    of_absent: NDArray[np.float64]  # the same of each absent case, `(m, n_absent)`


def one_shot(sums: MomentSums) -> OneShot:
    """Covariance of the reader-averaged AUCs of all modalities.

    A UserError, if no two successes differ in the reader and in both cases: nothing unbiased can then be said.

    Where readers rated unequal numbers of cases, the plain U-statistic scatters: the AUC squared and M8 weigh the same
    successes differently, and what is then left of the mean success swamps the variance. Taking the AUC from every
    success beforehand removes that. In 1,500 simulated studies of 6 readers who rated 20 to 40 of 40 cases it cut the
    standard deviation of the variance from 0.0047 to 0.0016 (mean of both 0.0029, truth 0.0032), and none instead of
    28 % came out negative. The price is a bias of the order of the unevenness. In fully crossed studies, and in
    split-plot ones with equal groups, both are the same number. Sources: Gallas, Acad. Radiol. 13, 353 (2006); Gallas &
    Brown, Neural Netw. 21, 387 (2008), designs that are not fully crossed; Gallas, Bandos, Samuelson & Wagner, Commun.
    Stat. Theory Methods 38, 2586 (2009).
    """
    counts = distinct(sums.counts)
    if not counts[..., 7].all():
        raise UserError(
            "a variance over readers and cases needs two readers who rated different cases of both classes: "
            "have at least 2 readers, 2 signal-present and 2 signal-absent cases"
        )
    moments, moments_mle = _divide(distinct(sums.products), counts), _divide(sums.products, sums.counts)
    products = centred(sums)
    of_centred, of_centred_mle = _divide(distinct(products), counts), _divide(products, sums.counts)
    coefficients = counts / sums.counts[..., 7:]
    coefficients[..., 7] -= 1.0
    return OneShot(
        auc=sums.auc,
        moments=moments,
        moments_mle=moments_mle,
        coefficients=coefficients,
        covariance=_weighted(coefficients, moments),
        covariance_centred=_weighted(coefficients, of_centred),
        covariance_mle=_weighted(coefficients, moments_mle),
        covariance_mle_centred=_weighted(coefficients, of_centred_mle),
        components=_components(of_centred),
        components_mle=_components(of_centred_mle),
        shares=(sums.counts / sums.counts[..., 7:])[..., _ORDER],
        of_present=sums.of_present,
        of_absent=sums.of_absent,
    )


@dataclass(frozen=True)
class Contrast:
    """Variance of one modality's AUC or of the difference of two; no unit."""

    estimate: float  # the AUC or the difference
    variance: float  # unbiased; can be negative
    variance_centred: float  # the same from successes less the AUC: see `one_shot`
    variance_mle: float  # biased twin of `variance`
    variance_mle_centred: float  # biased twin of `variance_centred`
    components: Components  # unbiased, per reader and case, as for `size_study`; NaN where the design cannot tell one
    contributions: Components  # what each component puts into `variance_centred` in this design; they sum to it
    df: float  # degrees of freedom (BDG) of `variance_centred`; NaN unless it is positive
    df_mle: float  # degrees of freedom (BDG) of `variance_mle_centred`; NaN unless it is positive
    of_readers: float  # scatter of the readers' values over their number, never negative
    df_readers: float  # its degrees of freedom
    df_cases: float  # those of the scatter of both classes of cases, see `_case_df`


def contrast(analysis: OneShot, first: int, second: int | None = None) -> Contrast:
    """Variance of the AUC of modality `first`, or of it minus that of `second`; components and degrees of freedom.

    BDG degrees of freedom are Satterthwaite's: the variance squared over the sum, for readers, present and absent
    cases, of (S²/n)²/(n − 1), where S² is the variance of the n means over all else. As FDA's iMRMC (R package, version
    2) has it, S²·(n − 1)/n is the component under the empirical distribution, n is 1 over the component's share, n − 1
    is rounded, the smaller n of two modalities counts, and the result is at least the least n − 1 (Gaylor & Hopper).
    Ours differs from it only in uneven designs and where modalities have readers or cases of their own: successes are
    centred, what two modalities share weighs by its share, and n − 1 is at least 1. Sources: Obuchowski, Gallas &
    Hillis, Acad. Radiol. 19, 1508 (2012); Barrett, Kupinski & Clarkson, Proc. SPIE 5749, 87 (2005), the components;
    Gaylor & Hopper, Technometrics 11, 691 (1969).
    """
    used = [first] if second is None else [first, second]
    signs = np.array([1.0, -1.0][: len(used)])

    def combine(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("a,b,ab...->...", signs, signs, covariance[np.ix_(used, used)]))

    variance, mle = float(combine(analysis.covariance_centred)), float(combine(analysis.covariance_mle_centred))
    n_less_1 = np.maximum(np.round(1.0 / analysis.shares[used, used, :3] - 1.0).min(axis=0), 1.0)
    shared, shared_mle = (
        np.where(analysis.shares > 0.0, analysis.shares * components, 0.0)
        for components in (analysis.components, analysis.components_mle)
    )
    scatter = combine(shared_mle)[:3] * (1.0 + 1.0 / n_less_1)  # S²/n of readers, present and absent cases
    uncertainty = float((scatter**2 / n_less_1).sum())

    def df(value: float) -> float:
        if not value > 0.0:
            return float("nan")
        least = float(n_less_1.min())  # also where no mean scatters, which so few readers and cases cannot prove
        return max(value**2 / uncertainty, least) if uncertainty > 0.0 else least

    return Contrast(
        estimate=float(signs @ analysis.auc[used]),
        variance=float(combine(analysis.covariance)),
        variance_centred=variance,
        variance_mle=float(combine(analysis.covariance_mle)),
        variance_mle_centred=mle,
        components=Components(*combine(analysis.components).tolist()),
        contributions=Components(*combine(shared).tolist()),
        df=df(variance),
        df_mle=df(mle),
        of_readers=max(float(scatter[0]), 0.0),
        df_readers=float(n_less_1[0]),
        df_cases=_case_df(
            scatter[1:], n_less_1[1:], [signs @ of[used] for of in (analysis.of_present, analysis.of_absent)]
        ),
    )


def _case_df(scatter: NDArray[np.float64], n_less_1: NDArray[np.float64], cases: list[NDArray[np.float64]]) -> float:
    """Satterthwaite's degrees of freedom of the scatter of both classes of cases, which is not that of normal values.

    The variance of n values has the relative variance 2/(n − 1) + κ/n with the excess kurtosis κ, which is large near
    an AUC of 1, where few cases make all errors. One below 0 counts as 0. At least 1.
    """
    total, uncertainty = 0.0, 0.0
    for variance, n, values in zip(np.maximum(scatter, 0.0), n_less_1, cases, strict=True):
        squares = (values - values.mean()) ** 2
        excess = float((squares**2).mean() / squares.mean() ** 2) - 3.0 if squares.any() else 0.0
        total += float(variance)
        uncertainty += float(variance) ** 2 * (2.0 / n + max(excess, 0.0) / (n + 1.0))
    return max(2.0 * total**2 / uncertainty, 1.0) if uncertainty > 0.0 else float(n_less_1.min())


def _divide(products: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means; NaN of nothing."""
    return np.divide(products, counts, out=np.full_like(products, np.nan), where=counts > 0.0)


def _weighted(coefficients: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ cₖ·Mₖ over the moments that there are."""
    return np.asarray(np.where(coefficients == 0.0, 0.0, coefficients * moments).sum(axis=-1), dtype=np.float64)


def _components(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Components, last axis 7: for each factor of one, what shares it less what does not."""
    less = np.array([[1.0, -1.0], [0.0, 1.0]])
    matrix = np.kron(less, np.kron(less, less))[list(_ORDER)]
    needed = np.where(matrix == 0.0, 0.0, moments[..., None, :])  # a moment that is NaN spoils only what needs it
    return np.asarray((matrix * needed).sum(axis=-1), dtype=np.float64)
