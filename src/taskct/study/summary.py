"""The result files of a run: every figure with its interval, from test statistics and per-trial image quality."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from taskct.config import Settings
from taskct.names import LOW_DOSE, fitted_as, setting_text
from taskct.study.areas import area_difference, area_interval, retraining
from taskct.study.arms import Arm
from taskct.study.evaluated import ArmResult
from taskct.study.resampling import CONFIDENCE, Resampling, interval_json, unit_of
from taskct.trials.trials import Trials


def image_quality_intervals(result: ArmResult, resampling: Resampling, peak_hu: float) -> dict[str, dict[str, float]]:
    """RMSE, PSNR (of a peak in HU) and SSIM of an arm with bootstrap intervals.

    PSNR is that of the mean squared error over all trials, so that it orders arms as RMSE does.
    """
    mse = result.quality["mse_hu2"]
    return {
        "rmse_hu": interval_json(resampling.interval(mse, np.sqrt)),
        "psnr_db": interval_json(resampling.interval(mse, lambda m: 10.0 * np.log10(peak_hu**2 / m))),
        "ssim": interval_json(resampling.interval(result.quality["ssim"])),
    }


def summarize(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`summary.json`, schema 1.

    Parameters
    ----------
    results
        Every arm.
    test
        The test trials.
    settings
        The study.
    """
    present, resampling = test.signal_present, Resampling.of(test, settings)
    unit = resampling.unit
    arms, paired = [], []
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    for result in results:
        arm = result.arm
        bias = result.quality["site_bias_hu"]
        observers = {}
        for name, t in result.scores.items():
            interval = area_interval(t, unit)
            observers[name] = {
                "auc": interval.value,
                "ci_low": interval.ci_low,
                "ci_high": interval.ci_high,
            }
        arms.append(
            {
                "name": arm.name,
                "lambda": arm.task_weight,
                "alpha": arm.alpha,
                "head": arm.head,
                "seed": arm.seed,
                "image_quality": image_quality_intervals(result, resampling, settings.evaluation.data_range_hu),
                "observers": observers,
                "hallucination": {
                    "absent_bias_hu": interval_json(resampling.interval(bias, of=~present)),
                    "present_bias_hu": interval_json(resampling.interval(bias, of=present)),
                },
            }
        )
        for versus in _compared_with(result):
            other = by_name.get((versus, arm.seed))
            if other is None:  # its training failed
                continue
            for name in result.scores:
                if name not in other.scores:
                    continue
                t = np.stack([result.scores[name], other.scores[name]])
                difference = area_difference(t, unit)
                paired.append(
                    {
                        "arm": arm.name,
                        "versus": versus,
                        "observer": name,
                        "seed": arm.seed,
                        "delta_auc": difference.delta_auc,
                        "ci_low": difference.ci_low,
                        "ci_high": difference.ci_high,
                        "p_value": difference.p_value,
                    }
                )
    n_test = {"present": int(present.sum()), "absent": int((~present).sum())}
    return {"schema": 1, "study": settings.name, "n_test": n_test, "arms": arms, "paired": paired}


def over_seeds(results: Sequence[ArmResult], test: Trials) -> dict[str, Any]:
    """`retraining.json`: the paired differences with training seeds and test trials as random effects."""
    pairs = dict.fromkeys((r.arm.name, versus) for r in results for versus in _compared_with(r))
    rows = []
    for pair in pairs:
        seeds = [{r.arm.seed for r in results if r.arm.name == name} for name in pair]
        both = [r for r in results if r.arm.name in pair and r.arm.seed in seeds[0] & seeds[1]]
        if both:
            rows += retraining(both, [pair], unit_of(test))
    return {"confidence": CONFIDENCE, "rows": rows}


def _compared_with(result: ArmResult) -> list[str]:
    arm = result.arm
    if arm.name == LOW_DOSE:
        return []
    if arm.pretrained or arm.filter is not None:
        return [LOW_DOSE]
    return [LOW_DOSE] if arm.name == arm.control else [arm.control]


def scores_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`scores.csv`: every test statistic of every trial, arm, observer and seed, and the background it shows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic", "case"]
    )
    present, case = test.signal_present.astype(int).tolist(), test.truth["case"].astype(int).tolist()
    for r in results:
        weight = _weight(r.arm)
        for name, scores in r.scores.items():
            head = (r.arm.name, weight, r.arm.seed, *fitted_as(name))
            writer.writerows((*head, i, present[i], f"{t:.9g}", case[i]) for i, t in enumerate(scores.tolist()))
    return out.getvalue()


def quality_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`quality.csv`: image quality and the bias at the signal's site, trial by trial, and the background it shows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("mse_hu2", "psnr_db", "ssim", "site_bias_hu", "peak_disc_hu")
    writer.writerow(["arm", "lambda", "seed", "trial", "signal_present", *names, "case"])
    present, case = test.signal_present.astype(int).tolist(), test.truth["case"].astype(int).tolist()
    for r in results:
        weight = _weight(r.arm)
        columns = [r.quality[name].tolist() for name in names]
        for i, row in enumerate(zip(*columns, strict=True)):
            values = (f"{value:.7g}" for value in row)
            writer.writerow((r.arm.name, weight, r.arm.seed, i, present[i], *values, case[i]))
    return out.getvalue()


def _weight(arm: Arm) -> str:
    """λ as the tables have it; empty without one."""
    return "" if arm.task_weight is None else setting_text(arm.task_weight)
