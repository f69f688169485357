"""AUCs of a study on its test trials: intervals that know which trials share a background, and what retraining adds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.clustered import Clusters, clustered_interval, paired_clustered
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import PairedDifference, delong_interval, paired_delong
from taskct.study.evaluate import ArmResult
from taskct.trials import Trials, select

CONFIDENCE = 0.95
"""Of every interval."""


def shared_cases(test: Trials) -> Clusters | None:
    """The case of every present and absent trial; None where every trial has one of its own, or all have the same.

    With a single case nothing can be said of others; the report tells how many stand behind the figures.
    """
    cases, present = test.truth["case"], test.signal_present
    fewest = min(len(np.unique(cases[of_class])) for of_class in (present, ~present))
    if fewest < 2 or len(np.unique(cases)) == len(cases):
        return None
    return Clusters.of(cases[present], cases[~present])


def area_interval(t: NDArray[np.float64], test: Trials) -> Interval:
    """AUC of test statistics `(n_test,)`, with DeLong's interval, or Obuchowski's where trials share cases."""
    present, clusters = test.signal_present, shared_cases(test)
    if clusters is None:
        return delong_interval(t[present], t[~present], confidence=CONFIDENCE)
    return clustered_interval(t[present], t[~present], clusters, confidence=CONFIDENCE)


def by_group(
    results: Sequence[ArmResult], group: NDArray[np.int64], labels: Sequence[str], test: Trials
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
    test
        The test trials.

    Returns
    -------
    A row for each arm, seed, observer and group that holds both classes, as `groups.json` has it; none for one group.
    """
    rows: list[dict[str, Any]] = []
    for index, label in enumerate(labels if len(labels) > 1 else ()):
        inside = group == index
        own = select(test, inside)
        n_present, n_absent = int(own.signal_present.sum()), int((~own.signal_present).sum())
        if min(n_present, n_absent) < 2:
            continue
        for result in results:
            for observer, t in result.scores.items():
                found = area_interval(t[inside], own)
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


def area_difference(t: NDArray[np.float64], test: Trials) -> PairedDifference:
    """Difference of the AUCs of two rows of test statistics, `(2, n_test)`, with an interval of the same kind."""
    present, clusters = test.signal_present, shared_cases(test)
    if clusters is None:
        return paired_delong(t[:, present], t[:, ~present], confidence=CONFIDENCE)
    return paired_clustered(t[:, present], t[:, ~present], clusters, confidence=CONFIDENCE)


def retraining(results: Sequence[ArmResult], pairs: Sequence[tuple[str, str]], test: Trials) -> list[dict[str, Any]]:
    """Differences of arms over training seeds and test trials at once (MRMC): seeds are readers.

    Parameters
    ----------
    results
        Every arm and seed.
    pairs
        Arms to compare, the second subtracted.
    test
        The test trials.

    Returns
    -------
    A row for each pair and observer, as `retraining.json` has it; none with a single seed, or where test trials share
    cases, which this analysis takes to be independent.
    """
    by_arm: dict[str, list[ArmResult]] = {}
    for result in results:
        by_arm.setdefault(result.arm.name, []).append(result)
    rows: list[dict[str, Any]] = []
    if shared_cases(test) is not None:
        return rows
    for arm, versus in pairs:
        both = by_arm[arm], by_arm[versus]
        if len(both[0]) < 2 or len(both[0]) != len(both[1]):
            continue
        for observer in both[0][0].scores:
            if observer in both[1][0].scores:
                rows.append({"arm": arm, "versus": versus, "observer": observer, **_over_seeds(both, observer, test)})
    return rows


def _over_seeds(both: tuple[list[ArmResult], list[ArmResult]], observer: str, test: Trials) -> dict[str, Any]:
    ratings = Ratings(
        scores=np.stack([[result.scores[observer] for result in arm] for arm in both]),
        signal_present=test.signal_present,
        modalities=("arm", "versus"),
        readers=tuple(f"seed {result.arm.seed}" for result in both[0]),
        cases=tuple(map(str, range(len(test)))),
    )
    found = analyze(ratings, confidence=CONFIDENCE).differences["arm-versus"]
    return {
        "n_seeds": len(both[0]),
        "delta_auc": found.auc,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "df": found.df_bdg,
    }
