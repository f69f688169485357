"""AUCs of a study on its test trials, over its unit of resampling, and what retraining adds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import PairedDifference, auc, delong_interval, paired_delong
from taskct.study.evaluated import ArmResult
from taskct.study.resampling import CONFIDENCE, Unit


def area_interval(t: NDArray[np.float64], unit: Unit) -> Interval:
    """AUC of test statistics `(n,)`, with DeLong's interval, or Obuchowski's where trials share backgrounds."""
    present = unit.present
    return delong_interval(t[present], t[~present], unit.clusters, confidence=CONFIDENCE)


def by_group(
    results: Sequence[ArmResult], group: NDArray[np.int64], labels: Sequence[str], unit: Unit
) -> list[dict[str, Any]]:
    """AUCs of every task, site or region by itself, where a denoiser serves several at once.

    Parameters
    ----------
    results
        Every arm and seed; the observers are those of all trials.
    group
        Index into `labels` of every test trial, `(n_test,)`.
    labels
        Of the groups.
    unit
        Of the test trials.

    Returns
    -------
    A row for each arm, seed, observer and group that holds two trials of either class, as `groups.json` has it; none
    for one group. Without bounds where the group has fewer than two units of a class: they would say nothing.
    """
    rows: list[dict[str, Any]] = []
    for index, label in enumerate(labels if len(labels) > 1 else ()):
        inside = group == index
        present = unit.present[inside]
        n_present, n_absent = int(present.sum()), int((~present).sum())
        if min(n_present, n_absent) < 2:
            continue
        own = unit.within(inside)
        for result in results:
            for observer, scores in result.scores.items():
                t = scores[inside]
                if own is None:
                    found = Interval(auc(t[present], t[~present]), math.nan, math.nan)
                else:
                    found = area_interval(t, own)
                rows.append(
                    {
                        "arm": result.arm.name,
                        "seed": result.arm.seed,
                        "observer": observer,
                        "group": label,
                        "n_present": n_present,
                        "n_absent": n_absent,
                        "auc": found.value,
                        "ci_low": found.ci_low,
                        "ci_high": found.ci_high,
                    }
                )
    return rows


def area_difference(t: NDArray[np.float64], unit: Unit) -> PairedDifference:
    """Difference of the AUCs of two rows of test statistics, `(2, n)`, with an interval of the same kind."""
    present = unit.present
    return paired_delong(t[:, present], t[:, ~present], unit.clusters, confidence=CONFIDENCE)


def retraining(results: Sequence[ArmResult], pairs: Sequence[tuple[str, str]], unit: Unit) -> list[dict[str, Any]]:
    """Differences of arms over training seeds and the unit of the test trials at once (MRMC): seeds are readers.

    Parameters
    ----------
    results
        Every arm and seed.
    pairs
        Arms to compare, the second subtracted.
    unit
        Of the test trials.

    Returns
    -------
    A row for each pair and observer that all their seeds have, as `retraining.json` has it; none with a single seed.

    Notes
    -----
    The one-shot U-statistic takes trials to be independent. Where they share backgrounds it is Obuchowski and
    Rockette's analysis, with Obuchowski's covariance of clustered AUCs.
    """
    by_arm: dict[str, list[ArmResult]] = {}
    for result in results:
        by_arm.setdefault(result.arm.name, []).append(result)
    rows: list[dict[str, Any]] = []
    for arm, versus in pairs:
        both = by_arm[arm], by_arm[versus]
        if len(both[0]) < 2 or len(both[0]) != len(both[1]):
            continue
        for observer in both[0][0].scores:
            if all(observer in result.scores for side in both for result in side):
                rows.append({"arm": arm, "versus": versus, "observer": observer, **_over_seeds(both, observer, unit)})
    return rows


def _over_seeds(both: tuple[list[ArmResult], list[ArmResult]], observer: str, unit: Unit) -> dict[str, Any]:
    ratings = Ratings(
        scores=np.stack([[result.scores[observer] for result in arm] for arm in both]),
        signal_present=unit.present,
        modalities=("arm", "versus"),
        readers=tuple(f"seed {result.arm.seed}" for result in both[0]),
        cases=tuple(map(str, range(len(unit.present)))),
    )
    n_seeds, clusters = len(both[0]), unit.clusters
    if clusters is not None:
        whole = obuchowski_rockette(ratings, clusters=clusters, confidence=CONFIDENCE).random_readers_random_cases
        d = whole.differences["arm-versus"]
        low, high, p_value, df = d.ci_low, d.ci_high, d.p_value, d.df
        return {
            "n_seeds": n_seeds, "delta_auc": d.estimate, "ci_low": low, "ci_high": high, "p_value": p_value, "df": df
        }  # fmt: skip
    found = analyze(ratings, confidence=CONFIDENCE).differences["arm-versus"]
    return {
        "n_seeds": n_seeds,
        "delta_auc": found.auc,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "df": found.df_whole,
    }
