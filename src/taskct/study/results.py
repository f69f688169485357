"""The result files of a run: every figure with its interval, from test statistics and per-trial image quality."""

import csv
import io
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from taskct.config import Settings
from taskct.errors import UserError
from taskct.json_values import json_values
from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.tradeoff import best_within, compare_curves, monotone_within_intervals
from taskct.study.areas import CONFIDENCE, area_difference, area_interval, retraining
from taskct.study.arms import CONTROL, LOW_DOSE, MSE, Arm
from taskct.study.evaluate import JOINT, false_signal
from taskct.study.evaluated import ArmResult
from taskct.training.checkpoints import write_text
from taskct.trials import Trials

CHOICE_OBSERVER = "ho_eye"
"""Whose validation AUC chooses the working point: the fresh observer nearest to a reader."""


def interval_json(interval: Interval) -> dict[str, float]:
    """An interval as `summary.json` writes it."""
    return {"value": interval.value, "ci_low": interval.ci_low, "ci_high": interval.ci_high}


def image_quality_intervals(result: ArmResult, settings: Settings) -> dict[str, dict[str, float]]:
    """RMSE, PSNR and SSIM of an arm with bootstrap intervals over test trials.

    PSNR is that of the mean squared error over all trials, so that it orders arms as RMSE does.
    """
    e = settings.evaluation
    common: dict[str, Any] = {"n_bootstrap": e.n_bootstrap, "confidence": CONFIDENCE, "seed": settings.seed}
    mse = result.quality["mse_hu2"]
    peak = e.data_range_hu**2
    return {
        "rmse_hu": interval_json(bootstrap_interval(mse, np.sqrt, **common)),
        "psnr_db": interval_json(bootstrap_interval(mse, lambda m: 10.0 * np.log10(peak / m), **common)),
        "ssim": interval_json(bootstrap_interval(result.quality["ssim"], **common)),
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
    present = test.signal_present
    arms, paired = [], []
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    for result in results:
        arm = result.arm
        bias = result.quality["site_bias_hu"]
        common: dict[str, Any] = {
            "n_bootstrap": settings.evaluation.n_bootstrap,
            "confidence": CONFIDENCE,
            "seed": settings.seed,
        }
        observers = {}
        for name, t in result.scores.items():
            interval = area_interval(t, test)
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
                "image_quality": image_quality_intervals(result, settings),
                "observers": observers,
                "hallucination": {
                    "absent_bias_hu": interval_json(bootstrap_interval(bias[~present], **common)),
                    "present_bias_hu": interval_json(bootstrap_interval(bias[present], **common)),
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
                difference = area_difference(t, test)
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
            rows += retraining(both, [pair], test)
    return {"confidence": CONFIDENCE, "rows": rows}


def _compared_with(result: ArmResult) -> list[str]:
    arm = result.arm
    if arm.name == LOW_DOSE:
        return []
    if arm.pretrained or arm.filter is not None:
        return [LOW_DOSE]
    return [LOW_DOSE] if arm.name == arm.control else [arm.control]


def quoted_seed(arms: Sequence[Arm], settings: Settings) -> int:
    """The training seed that text and figures quote: the first of which all that they need was trained.

    Raises
    ------
    UserError
        If no seed has a pretrained denoiser, a control and a λ > 0.
    """
    for seed in settings.training.seeds:
        mine = [arm for arm in arms if arm.seed == seed]
        task = [arm for arm in mine if arm.trained and arm.task_weight and not arm.variant]
        if task and {LOW_DOSE, MSE, CONTROL} <= {arm.name for arm in mine}:
            return seed
    raise UserError(
        "no training seed has a pretrained denoiser, a control (lambda=0) and a λ > 0 whose training ended well: there "
        "is nothing to compare"
    )


def choose(results: Sequence[ArmResult], settings: Settings) -> dict[str, Any]:
    """`choices.json`: everything that was chosen, all of it on the validation trials."""
    seed = quoted_seed([r.arm for r in results], settings)
    sweep = [r for r in results if r.arm.seed == seed and r.arm.trained and not r.arm.variant]
    task = [r for r in sweep if r.arm.task_weight]
    control = next(r for r in sweep if not r.arm.task_weight)
    limit = (1.0 + settings.evaluation.chosen_price) * control.validation_rmse_hu
    affordable = [r for r in task if r.validation_rmse_hu <= limit]
    rule = f"the λ > 0 with the highest AUC of {CHOICE_OBSERVER} on the validation trials (seed {seed})"
    if affordable:
        best = max(affordable, key=lambda r: r.validation_auc[CHOICE_OBSERVER])
        rule += f", among those whose RMSE there is within {settings.evaluation.chosen_price:.0%} of the control's"
    else:
        best = min(task, key=lambda r: r.validation_rmse_hu)
        rule = (
            f"the λ > 0 with the lowest RMSE on the validation trials (seed {seed}), since none is within "
            f"{settings.evaluation.chosen_price:.0%} of the control's"
        )
    return {
        "chosen_arm": best.arm.name,
        "seed": seed,
        "rule": rule,
        "regularization": {_key(r): r.regularization for r in results},
        "at_edge": [
            {"arm": _key(r), "observer": name, "value": value}
            for r in results
            for name, value in r.regularization.items()
            if value in _ends(name, settings)
        ],
        "validation": [{"arm": _key(r), "rmse_hu": r.validation_rmse_hu, "auc": r.validation_auc} for r in results],
    }


def _ends(observer: str, settings: Settings) -> tuple[float, float]:
    """The weakest and the strongest regularization that an observer could choose."""
    o = settings.observers
    values = o.weight_decays if observer == "slnn" else o.ridges
    return min(values), max(values)


def _key(result: ArmResult) -> str:
    return result.arm.name if result.arm.seed == 0 else f"{result.arm.name} seed={result.arm.seed}"


def trade_off(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`tradeoff.json`: the λ curve against the blend curve, and the best arm that keeps the control's RMSE.

    Those of the quoted seed; the arm is chosen on validation trials, its figures are the test trials'.
    """
    e, present = settings.evaluation, test.signal_present
    seed = quoted_seed([r.arm for r in results], settings)
    mine = {r.arm.name: r for r in results if r.arm.seed == seed}
    control = mine[CONTROL]
    sweep = [r for r in mine.values() if r.arm.trained and not r.arm.variant]
    blend = [r for r in mine.values() if r.arm.alpha is not None and not r.arm.variant]
    if blend:
        blend = [control, *blend, mine[f"lambda={blend[0].arm.task_weight:g}"]]
    observers = {}
    for name in sweep[0].scores:
        curves = None
        if blend and all(name in r.scores for r in blend):
            curves = _compare(blend, sweep, name, present, settings)
        candidates = [
            r
            for r in mine.values()
            if name in r.scores
            and r.arm.task_weight is not None
            and r.arm.control in mine
            # Heads of two kinds are two observers: they are not ranked against each other.
            and not (name == JOINT and r.arm.head != control.arm.head)
        ]
        picked = candidates[
            best_within(
                # Each against the control of its own kind.
                np.array([r.validation_rmse_hu / mine[r.arm.control].validation_rmse_hu for r in candidates]),
                np.array([r.validation_auc[name] for r in candidates]),
                control_rmse=1.0,
                tolerance=e.tolerance,
            )
        ]
        base = mine[picked.arm.control]
        t = np.stack([picked.scores[name], base.scores[name]])
        difference = area_difference(t, test)
        area = area_interval(t[0], test)
        pair = np.stack([picked.quality["mse_hu2"], base.quality["mse_hu2"]], axis=1)
        ratio = bootstrap_interval(
            pair,
            lambda m: np.sqrt(m[:, 0] / m[:, 1]),
            n_bootstrap=e.n_bootstrap,
            confidence=CONFIDENCE,
            seed=settings.seed,
        )
        swept = np.stack([r.scores[name] for r in sweep])
        observers[name] = {
            "curves": curves,
            "within_tolerance": {
                "arm": picked.arm.name,
                "rmse_ratio": interval_json(ratio),
                "auc": interval_json(area),
                "delta_auc": {
                    "value": difference.delta_auc,
                    "ci_low": difference.ci_low,
                    "ci_high": difference.ci_high,
                },
            },
            "monotone": monotone_within_intervals(swept[:, present], swept[:, ~present], confidence=CONFIDENCE),
        }
    return {
        "tolerance": e.tolerance,
        "control": CONTROL,
        "seed": seed,
        "confidence": CONFIDENCE,
        "rmse_monotone": _rmse_rises(sweep, settings),
        "observers": observers,
    }


def _compare(
    blend: list[ArmResult], sweep: list[ArmResult], name: str, present: NDArray[np.bool_], settings: Settings
) -> dict[str, Any] | None:
    e = settings.evaluation
    blend_scores, sweep_scores = (np.stack([r.scores[name] for r in curve]) for curve in (blend, sweep))
    blend_mse, sweep_mse = (np.stack([r.quality["mse_hu2"] for r in curve]) for curve in (blend, sweep))
    rmse = [np.sqrt(mse.mean(axis=1)) for mse in (blend_mse, sweep_mse)]
    if max(r.min() for r in rmse) >= min(r.max() for r in rmse):
        return None  # the curves share no range of RMSE
    found = compare_curves(
        blend_scores,
        blend_mse,
        sweep_scores,
        sweep_mse,
        present,
        n_bootstrap=e.n_bootstrap,
        confidence=CONFIDENCE,
        seed=settings.seed,
    )
    if not found.ci_low <= found.delta_auc <= found.ci_high:
        return None  # the range shared is so narrow that most resamples have none: nothing can be said
    better = "blend" if found.ci_low > 0 else "trained" if found.ci_high < 0 else "neither"
    delta = {"value": found.delta_auc, "ci_low": found.ci_low, "ci_high": found.ci_high}
    return {"better": better, "delta_auc": delta, "rmse_range_hu": [found.rmse_low_hu, found.rmse_high_hu]}


def _rmse_rises(sweep: Sequence[ArmResult], settings: Settings) -> bool:
    """Whether the RMSE never falls, beyond chance, from one λ to the next."""
    for before, after in pairwise(sorted(sweep, key=lambda r: r.arm.task_weight or 0.0)):
        pair = np.stack([after.quality["mse_hu2"], before.quality["mse_hu2"]], axis=1)
        rise = bootstrap_interval(
            pair,
            lambda m: np.sqrt(m[:, 0]) - np.sqrt(m[:, 1]),
            n_bootstrap=settings.evaluation.n_bootstrap,
            confidence=CONFIDENCE,
            seed=settings.seed,
        )
        if rise.ci_high < 0:
            return False
    return True


def rate_interval(hits: NDArray[np.bool_]) -> Interval:
    """Share of hits with its exact binomial (Clopper–Pearson) interval; no hits in n do not make a rate of 0 certain.

    Examples
    --------
    >>> rate_interval(np.zeros(100, dtype=bool)).ci_high < 0.04
    True
    """
    found = binomtest(int(hits.sum()), len(hits))
    bounds = found.proportion_ci(confidence_level=CONFIDENCE, method="exact")
    return Interval(value=float(found.statistic), ci_low=float(bounds.low), ci_high=float(bounds.high))


def hallucination(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`hallucination.json`: in what share of signal-absent trials a signal was painted somewhere in the region.

    A painted signal is a disc of the signals' mean diameter whose mean exceeds the reference by their least contrast.
    """
    disc_mm, threshold, _ = false_signal(settings)
    absent = ~test.signal_present
    painted = {(r.arm.name, r.arm.seed): r.quality["peak_disc_hu"][absent] >= threshold for r in results}
    common: dict[str, Any] = {
        "n_bootstrap": settings.evaluation.n_bootstrap,
        "confidence": CONFIDENCE,
        "seed": settings.seed,
    }
    arms = []
    for r in results:
        mine, control = painted[r.arm.name, r.arm.seed], painted.get((r.arm.control, r.arm.seed))
        delta = None
        if control is not None and r.arm.task_weight is not None and r.arm.name != r.arm.control:
            delta = interval_json(bootstrap_interval(mine.astype(float) - control, **common))
        arms.append(
            {
                "arm": r.arm.name,
                "seed": r.arm.seed,
                "false_signal_rate": interval_json(rate_interval(mine)),
                "delta_to_control": delta,
            }
        )
    return {"disc_mm": disc_mm, "threshold_hu": threshold, "control": CONTROL, "arms": arms}


def scores_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`scores.csv`: every test statistic of every trial, arm, observer and seed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic"])
    present = test.signal_present.astype(int).tolist()
    for r in results:
        weight = "" if r.arm.task_weight is None else f"{r.arm.task_weight:g}"
        for name, scores in r.scores.items():
            observer, fitted = ("slnn", "joint") if name == JOINT else (name, "fresh")
            head = (r.arm.name, weight, r.arm.seed, observer, fitted)
            writer.writerows((*head, i, present[i], f"{value:.9g}") for i, value in enumerate(scores.tolist()))
    return out.getvalue()


def quality_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`quality.csv`: image quality and the bias at the signal's site, trial by trial."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("mse_hu2", "psnr_db", "ssim", "site_bias_hu", "peak_disc_hu")
    writer.writerow(["arm", "lambda", "seed", "trial", "signal_present", *names])
    present = test.signal_present.astype(int).tolist()
    for r in results:
        weight = "" if r.arm.task_weight is None else f"{r.arm.task_weight:g}"
        columns = [r.quality[name].tolist() for name in names]
        for i, row in enumerate(zip(*columns, strict=True)):
            writer.writerow((r.arm.name, weight, r.arm.seed, i, present[i], *(f"{value:.7g}" for value in row)))
    return out.getvalue()


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all; a value that is not finite is written as null."""
    write_text(path, json.dumps(json_values(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
