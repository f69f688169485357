"""Trade-off curves: what a denoiser gains in AUC against what it pays in RMSE.

A curve is a set of points (RMSE, AUC), one for each arm, all measured on the same test trials.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtri

from taskct.metrics.auc_bootstrap import resample_trials
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import check_confidence, chunk_sizes, percentile_bounds, resample_counts
from taskct.metrics.roc import auc, delong_covariance, weighted_auc

ROUNDING = 1e-5
"""Relative difference of two RMSEs that rounding explains: an arm that was made to cost a price exactly keeps it."""


@dataclass(frozen=True)
class CurveComparison:
    """Two trade-off curves compared at equal RMSE."""

    delta_auc: float
    """Mean over the shared range of RMSE of the first curve's AUC minus the second's."""
    ci_low: float
    """Lower bound of that mean."""
    ci_high: float
    """Upper bound of that mean."""
    rmse_low_hu: float
    """Start of the shared range, HU."""
    rmse_high_hu: float
    """End of the shared range, HU."""


def auc_at_rmse(
    curve_rmse: NDArray[np.floating], curve_auc: NDArray[np.floating], rmse: float | NDArray[np.floating]
) -> NDArray[np.float64]:
    """AUC of a trade-off curve at a given RMSE, by straight lines between its arms in order of RMSE.

    Parameters
    ----------
    curve_rmse, curve_auc
        The arms in any order, HU and no unit, shape `(n_arms,)` each, finite, or a ValueError.
    rmse
        Where to read the curve, HU, any shape.

    Returns
    -------
    AUC, the shape of `rmse`; NaN outside the curve, which is not extended.

    Examples
    --------
    >>> auc_at_rmse(np.array([12.0, 10.0]), np.array([0.9, 0.8]), np.array([10.5, 12.5]))
    array([0.825,   nan])
    """
    _check_curve(curve_rmse, curve_auc)
    order = np.argsort(curve_rmse, kind="stable")
    read = np.interp(rmse, curve_rmse[order], curve_auc[order], left=np.nan, right=np.nan)
    return np.asarray(read, dtype=np.float64)


def compare_curves(
    a_scores: NDArray[np.floating],
    a_mse: NDArray[np.floating],
    b_scores: NDArray[np.floating],
    b_mse: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    clusters: Clusters | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int,
    n_grid: int = 101,
) -> CurveComparison:
    """Mean difference of two trade-off curves at equal RMSE, with an interval over the test trials.

    Both curves may contain the same arm (often the λ = 0 control and the trained end of a blend).

    Parameters
    ----------
    a_scores, b_scores
        Test statistics of every arm, `(n_arms, n_trials)`; higher means present. The curves may differ in `n_arms`, not
        in the trials.
    a_mse, b_mse, signal_present
        MSE of every arm and trial, HU², the shape of the scores; truth of each trial, `(n_trials,)`.
    clusters
        Cluster (case, background) of every trial, in either class in the order of the trials; whole clusters are then
        drawn, with their trials of both classes. Left out: trials, within each class.
    n_bootstrap, confidence, seed
        As for `bootstrap_auc`.
    n_grid
        RMSE values at which the curves are read, evenly over the shared range, at least 2; the mean is trapezoidal.

    Returns
    -------
    The mean of AUC_a − AUC_b over the shared range of RMSE, its percentile interval, and the range.

    Raises
    ------
    ValueError
        If the curves share no range of RMSE, a shape does not fit, a class has fewer than 2 trials, a value is not
        finite, an MSE is negative, the clusters are those of other trials, or a setting is out of range.

    Notes
    -----
    A resample draws trials with replacement within each class, or clusters as `resample_trials` does, the same ones for
    all arms of both curves, and moves RMSE and AUC together. The shared range stays that of the whole sample; where a
    resampled curve ends short of it, the AUC of its last arm is held. The interval covers the choice of test trials,
    not another training.
    """
    present = np.asarray(signal_present)
    for name, scores, mse in (("a", a_scores, a_mse), ("b", b_scores, b_mse)):
        _check_arms(name, scores, mse, present)
    if n_bootstrap < 2 or n_grid < 2:
        raise ValueError(f"n_bootstrap ({n_bootstrap}) and n_grid ({n_grid}) must be at least 2")
    check_confidence(confidence)
    curves = ((a_scores, a_mse), (b_scores, b_mse))
    whole = np.ones((1, len(present)))
    points = [_weighted_points(scores, mse, present, whole) for scores, mse in curves]
    low = max(float(rmse.min()) for rmse, _ in points)
    high = min(float(rmse.max()) for rmse, _ in points)
    if not low < high:
        raise ValueError(
            "the curves share no range of RMSE: "
            + " and ".join(f"{rmse.min():.4g} to {rmse.max():.4g} HU" for rmse, _ in points)
        )
    grid = np.linspace(low, high, n_grid)
    delta = float(_mean_difference(points, grid)[0])

    replicates = []
    for weights in _resamples(present, clusters, n_bootstrap, seed):
        points = [_weighted_points(scores, mse, present, weights) for scores, mse in curves]
        replicates.append(_mean_difference(points, grid))
    df = math.inf if clusters is None else clusters.n - 1
    return CurveComparison(delta, *percentile_bounds(np.concatenate(replicates), confidence, df=df), low, high)


def _resamples(
    present: NDArray[np.bool_], clusters: Clusters | None, n_bootstrap: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Weights of all trials, shape `(n_resamples, n_trials)`, in chunks of resamples."""
    if clusters is not None:
        clusters.check(int(present.sum()), int((~present).sum()))
        for w_present, w_absent in resample_trials(clusters, n_bootstrap=n_bootstrap, seed=seed):
            weights = np.empty((len(w_present), len(present)))
            weights[:, present], weights[:, ~present] = w_present, w_absent
            yield weights
        return
    rng = np.random.default_rng(seed)
    for chunk in chunk_sizes(n_bootstrap, len(present)):
        weights = np.empty((chunk, len(present)))
        for members in (present, ~present):
            weights[:, members] = resample_counts(rng, int(members.sum()), chunk)
        yield weights


def best_within(
    rmse: NDArray[np.floating], auc: NDArray[np.floating], *, control_rmse: float, tolerance: float = 0.02
) -> int:
    """Index of the arm with the highest AUC among those that keep the control's RMSE; the first, where several have it.

    Parameters
    ----------
    rmse, auc, control_rmse
        The arms, `(n_arms,)` each, and the RMSE of the control (λ = 0); HU, and no unit for the AUC.
    tolerance
        What may be lost, as a fraction of the control's RMSE, at least 0: 0.02 is 2 %, but for `ROUNDING`.

    Raises
    ------
    ValueError
        If no arm has RMSE ≤ (1 + tolerance) · control_rmse, or what is given is out of range.

    Notes
    -----
    Choose on one split and quote the AUC on another: the maximum of several estimates is biased upwards.

    Examples
    --------
    >>> best_within(np.array([10.0, 10.1, 11.0]), np.array([0.8, 0.85, 0.9]), control_rmse=10.0)
    1
    """
    _check_curve(rmse, auc)
    if not (tolerance >= 0.0 and math.isfinite(control_rmse)):
        raise ValueError(f"tolerance ({tolerance}) must be ≥ 0 and control_rmse ({control_rmse}) finite")
    limit = (1.0 + tolerance) * control_rmse * (1.0 + ROUNDING)
    if not (rmse <= limit).any():
        raise ValueError(f"no arm has an RMSE within {limit:.4g} HU; the lowest is {rmse.min():.4g} HU")
    return int(np.argmax(np.where(rmse <= limit, auc, -np.inf)))


def monotone_within_intervals(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    *,
    clusters: Clusters | None = None,
    confidence: float = 0.95,
) -> bool:
    """Whether the AUC never drops, beyond chance, from one arm (row of the test statistics) to the next.

    True unless the paired interval of some difference AUC[i+1] − AUC[i] lies wholly below 0. Failing to show a drop is
    not showing a rise, and small samples pass easily: quote the intervals beside it. The steps are not corrected for
    their number: where the AUC is truly flat over k steps, False comes up by chance with probability of at most about k
    (1 − confidence) / 2. A slow decline of many small steps can pass.
    """
    check_confidence(confidence)
    covariance = delong_covariance(t_present, t_absent, clusters)
    if len(covariance) < 2:
        raise ValueError(f"an order needs at least 2 arms; there are {len(covariance)}")
    areas = np.array([auc(p, a) for p, a in zip(t_present, t_absent, strict=True)])
    variance = np.diag(covariance)
    of_steps = variance[1:] + variance[:-1] - 2.0 * np.diag(covariance, k=1)
    half_width = -ndtri((1.0 - confidence) / 2.0) * np.sqrt(np.maximum(of_steps, 0.0))  # rounding may dip below 0
    return bool((np.diff(areas) + half_width >= 0.0).all())


def _check_curve(rmse: NDArray[np.floating], area: NDArray[np.floating]) -> None:
    if rmse.ndim != 1 or rmse.shape != area.shape or len(rmse) == 0:
        raise ValueError(f"RMSE and AUC of shapes {rmse.shape} and {area.shape}; wanted (n_arms,), both the same")
    if not (np.isfinite(rmse).all() and np.isfinite(area).all()):
        raise ValueError("an RMSE or AUC of the curve is not finite")


def _check_arms(name: str, scores: NDArray[np.floating], mse: NDArray[np.floating], present: NDArray[np.bool_]) -> None:
    if present.ndim != 1 or present.dtype != np.bool_:
        raise ValueError(f"signal_present must be boolean, shape (n_trials,); it is {present.dtype}, {present.shape}")
    if scores.ndim != 2 or scores.shape != mse.shape or scores.shape[1] != len(present) or len(scores) == 0:
        raise ValueError(f"curve {name}: scores {scores.shape} and MSE {mse.shape}; wanted (n_arms, {len(present)})")
    if not (np.isfinite(mse).all() and (mse >= 0.0).all()):
        raise ValueError(f"curve {name}: an MSE is negative or not finite")


def _weighted_points(
    scores: NDArray[np.floating], mse: NDArray[np.floating], present: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RMSE and AUC of every arm under each set of trial weights, shapes `(n_sets, n_arms)`."""
    rmse = np.sqrt(weights @ mse.T.astype(np.float64) / weights.sum(axis=1, keepdims=True))
    w_present, w_absent = weights[:, present], weights[:, ~present]
    areas = [weighted_auc(t[present], t[~present], w_present, w_absent) for t in scores]
    return rmse, np.stack(areas, axis=1)


def _mean_difference(
    points: list[tuple[NDArray[np.float64], NDArray[np.float64]]], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over the grid of the first curve minus the second, for each set of weights, shape `(n_sets,)`."""
    read = []
    for rmse, area in points:
        order = np.argsort(rmse, axis=1, kind="stable")
        knots = np.take_along_axis(rmse, order, axis=1)
        heights = np.take_along_axis(area, order, axis=1)
        read.append(np.array([np.interp(grid, x, y) for x, y in zip(knots, heights, strict=True)]))
    return np.asarray(trapezoid(read[0] - read[1], grid, axis=1) / (grid[-1] - grid[0]), dtype=np.float64)
