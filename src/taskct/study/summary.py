"""What the test trials say of every arm: AUC and image quality, paired differences, retraining, false signals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.clustered_readers import clustered_readers_difference
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import auc, delong_covariance
from taskct.names import LOW_DOSE
from taskct.study.arm_result import ArmResult
from taskct.study.arms import control_of
from taskct.study.evaluate import false_signal
from taskct.study.resampling import CONFIDENCE, Resampling, Unit, interval_json
from taskct.trials.trials import Trials


def summarize(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`summary.json`, schema 1: every arm on the test trials of a study."""
    resampling, by_name = Resampling.of(test, settings), {(r.arm.name, r.arm.seed): r for r in results}
    paired = []
    for result in results:
        arm, versus = result.arm, compared_with(result)
        other = by_name.get((versus or "", arm.seed))
        for name in result.scores:
            if other is None or name not in other.scores:  # its training failed, or the observer could not be fitted
                continue
            difference = resampling.unit.auc_difference(np.stack([result.scores[name], other.scores[name]]))
            pair = {"arm": arm.name, "versus": versus, "observer": name, "seed": arm.seed}
            paired.append(pair | asdict(difference))
    n_present = int(test.signal_present.sum())
    return {
        "schema": 1,
        "study": settings.name,
        "n_test": {"present": n_present, "absent": len(test) - n_present},
        "arms": [_arm_json(result, resampling, settings.evaluation.data_range_hu) for result in results],
        "paired": paired,
    }


def _arm_json(result: ArmResult, resampling: Resampling, peak_hu: float) -> dict[str, Any]:
    """An arm in `summary.json`; its PSNR is that of the mean squared error over all trials, so it orders as RMSE."""
    arm, present = result.arm, resampling.unit.present
    mse, bias = result.quality["mse_hu2"], result.quality["site_bias_hu"]
    return {
        "name": arm.name,
        "lambda": arm.task_weight,
        "alpha": arm.alpha,
        "price": arm.price,
        "head": arm.head,
        "seed": arm.seed,
        "image_quality": {
            "rmse_hu": interval_json(resampling.interval(mse, np.sqrt)),
            "psnr_db": interval_json(resampling.interval(mse, lambda m: 10.0 * np.log10(peak_hu**2 / m))),
            "ssim": interval_json(resampling.interval(result.quality["ssim"])),
        },
        "observers": {name: interval_json(resampling.unit.auc(t), "auc") for name, t in result.scores.items()},
        "hallucination": {
            "absent_bias_hu": interval_json(resampling.interval(bias, of=~present)),
            "present_bias_hu": interval_json(resampling.interval(bias, of=present)),
        },
    }


def compared_with(result: ArmResult) -> str | None:
    """Name of the arm that another is compared with: its control; the low-dose images where it has none."""
    arm = result.arm
    if arm.name == LOW_DOSE:
        return None
    return LOW_DOSE if not arm.controlled or arm.name == arm.control else arm.control


def compared(results: Iterable[ArmResult]) -> list[tuple[str, str]]:
    """Names of the arms that are compared, the second subtracted, each pair once."""
    pairs = ((r.arm.name, compared_with(r)) for r in results)
    return list(dict.fromkeys((name, versus) for name, versus in pairs if versus is not None))


def retraining(results: Sequence[ArmResult], pairs: Sequence[tuple[str, str]], unit: Unit) -> list[dict[str, Any]]:
    """Differences of arms over training seeds and the unit of the test trials at once (MRMC): seeds are readers.

    `pairs` name arms, the second subtracted. A row for each pair and observer, over the seeds that both arms have, as
    `retraining.json` has it, with the spread over trainings alone; none where they share a single seed, or a seed lacks
    the observer. The one-shot U-statistic takes trials to be independent. Where they share backgrounds it is Obuchowski
    and Rockette's analysis, with Obuchowski's covariance of clustered AUCs.
    """
    rows: list[dict[str, Any]] = []
    for arm, versus in pairs:
        of_seed = [{r.arm.seed: r for r in results if r.arm.name == name} for name in (arm, versus)]
        seeds = [seed for seed in of_seed[0] if seed in of_seed[1]]
        both = [[side[seed] for seed in seeds] for side in of_seed]
        for observer in both[0][0].scores if len(seeds) > 1 else ():
            if all(observer in result.scores for side in both for result in side):
                row = {"arm": arm, "versus": versus, "observer": observer, "n_seeds": len(seeds)}
                rows.append(row | _over_seeds([[r.scores[observer] for r in side] for side in both], seeds, unit))
    return rows


def _over_seeds(scores: list[list[NDArray[np.float64]]], seeds: Sequence[int], unit: Unit) -> dict[str, Any]:
    """The difference of two arms from the test statistics of each seed, `(2, n_seeds, n_test)`."""
    if unit.clusters is None:
        d = analyze(_ratings(scores, seeds, unit), confidence=CONFIDENCE).differences["arm-versus"]
        found, p_value, law = Interval(d.auc, d.ci_low, d.ci_high), d.p_value_interval, d.law
    else:
        t = np.array(scores)
        both = t[:, :, unit.present], t[:, :, ~unit.present]
        c, law = clustered_readers_difference(*both, unit.clusters, confidence=CONFIDENCE)
        found, p_value = Interval(c.delta_auc, c.ci_low, c.ci_high), c.p_value
    df = None if law is None else law.error.student_df(CONFIDENCE)
    rest = {"p_value": p_value, "df": df if df is not None and math.isfinite(df) else None}
    return interval_json(found, "delta_auc") | rest | {"seed_std": _seed_std(np.array(scores), unit)}


def _ratings(scores: list[list[NDArray[np.float64]]], seeds: Sequence[int], unit: Unit) -> Ratings:
    """Test statistics of two arms as ratings by seeds."""
    return Ratings(
        scores=np.array(scores),
        signal_present=unit.present,
        modalities=("arm", "versus"),
        readers=tuple(f"seed {seed}" for seed in seeds),
        cases=tuple(map(str, range(len(unit.present)))),
    )


def _seed_std(scores: NDArray[np.float64], unit: Unit) -> float:
    """Spread of the difference of two arms over trainings, apart from that of the test trials; `(2, n_seeds, n_test)`.

    The seeds share their trials. So the variance of their differences exceeds that of trainings by what trials add to
    one and not to another: the mean variance over trials less the mean covariance of two seeds. It is 0 where the
    trials alone explain the spread.
    """
    n_seeds = scores.shape[1]
    flat = scores.reshape(2 * n_seeds, -1)
    present, absent = flat[:, unit.present], flat[:, ~unit.present]
    contrast = np.hstack([np.eye(n_seeds), -np.eye(n_seeds)])
    of_trials = contrast @ delong_covariance(present, absent, unit.clusters) @ contrast.T
    differences = contrast @ [auc(p, a) for p, a in zip(present, absent, strict=True)]
    apart = ~np.eye(n_seeds, dtype=np.bool_)
    own = float(of_trials.diagonal().mean() - of_trials[apart].mean())
    return float(np.sqrt(max(float(np.var(differences, ddof=1)) - own, 0.0)))


def by_group(
    results: Sequence[ArmResult], group: NDArray[np.int64], labels: Sequence[str], unit: Unit
) -> list[dict[str, Any]]:
    """AUCs of every head group by itself, where a denoiser serves several tasks, sites or regions at once.

    `group` has the index into `labels` of every test trial. A row for each arm, seed, observer and group that holds two
    trials of either class, as `groups.json` has it; none for one group. Without bounds where the group has fewer than
    two units of a class: they would say nothing.
    """
    rows: list[dict[str, Any]] = []
    for index, label in enumerate(labels if len(labels) > 1 else ()):
        inside = group == index
        present, own = unit.present[inside], unit.within(inside)
        n_present, n_absent = int(present.sum()), int((~present).sum())
        if min(n_present, n_absent) < 2:
            continue
        for result in results:
            for observer, scores in result.scores.items():
                t = scores[inside]
                found = Interval(auc(t[present], t[~present]), math.nan, math.nan) if own is None else own.auc(t)
                row = {"arm": result.arm.name, "seed": result.arm.seed, "observer": observer, "group": label}
                rows.append(row | {"n_present": n_present, "n_absent": n_absent, **interval_json(found, "auc")})
    return rows


def hallucination(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`hallucination.json`: in what share of signal-absent trials a signal was painted somewhere in the region.

    A painted signal is a disc of the signals' mean diameter whose mean exceeds the reference by their least contrast.
    Beside it stands by how much the mean bias at real signals exceeds that of the control (`Arm.base`) in size.
    """
    disc_mm, threshold, _ = false_signal(settings)
    resampling, present = Resampling.of(test, settings), test.signal_present
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    arms = []
    for r in results:
        base = by_name.get((r.arm.base or "", r.arm.seed))
        painted = r.quality["peak_disc_hu"] >= threshold
        delta = excess = None
        if base is not None:
            others = base.quality["peak_disc_hu"] >= threshold
            delta = interval_json(resampling.rate_difference(painted, others, of=~present))
            biases = np.stack([r.quality["site_bias_hu"], base.quality["site_bias_hu"]], axis=1)
            sizes = resampling.interval(biases, lambda mean: np.abs(mean[:, 0]) - np.abs(mean[:, 1]), of=present)
            excess = interval_json(sizes)
        arms.append(
            {
                "arm": r.arm.name,
                "seed": r.arm.seed,
                "false_signal_rate": interval_json(resampling.rate(painted, of=~present)),
                "delta_to_control": delta,
                "excess_present_bias_hu": excess,
            }
        )
    return {"disc_mm": disc_mm, "threshold_hu": threshold, "control": control_of(settings), "arms": arms}
