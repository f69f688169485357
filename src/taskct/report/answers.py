"""The answers below the verdict: what denoising does, what training for the task does, which is the better bargain."""

import math
from collections.abc import Sequence

from taskct.metrics.intervals import Interval
from taskct.names import JOINT, LOW_DOSE, MSE, ArmName
from taskct.report.caveats import at_n
from taskct.report.contrast import contrast_words
from taskct.report.labels import interval, listed, number, observer_label
from taskct.report.quoting import IN_LIMIT, control_said, deltas_of
from taskct.report.run import Quoted, Run
from taskct.report.schema import sign


def denoising_answer(run: Run, name: str = MSE) -> str:
    """Say what a denoiser does to the image quality and the AUC of the low-dose images; MSE unless named."""
    low, mse = run.arm(LOW_DOSE), run.arm(name)
    before, after = low.image_quality.rmse_hu, mse.image_quality.rmse_hu
    text = f"RMSE goes from {interval(before, 2)} HU (low-dose images) to {interval(after, 2)} HU."
    in_limit: list[str] = []
    at_n_only: list[str] = []
    for observer in run.observers:
        pair = [run.quoted_auc(one, observer) for one in (LOW_DOSE, name)]
        delta = run.quoted_delta(name, LOW_DOSE, observer)
        if pair[0] is None or pair[1] is None:
            continue
        limit = pair[0].in_limit and pair[1].in_limit and (delta is None or delta.in_limit)
        if not limit:
            pair = [Quoted(arm.observers[observer], in_limit=False) for arm in (low, mse)]
            found = run.delta(name, LOW_DOSE, observer)
            delta = None if found is None else Quoted(found, in_limit=False)
        change = " → ".join(number(auc.interval.value, 3) for auc in pair if auc is not None)
        part = f"{observer_label(observer)} {change}{_change([q.interval for q in pair if q is not None], delta)}"
        (in_limit if limit else at_n_only).append(part)
    if in_limit:
        text += f" AUC {IN_LIMIT}: {'; '.join(in_limit)}."
    if at_n_only:
        text += f" AUC {at_n(run)}: {'; '.join(at_n_only)}."
        text += (
            " The noisier images lose most by so few training trials, so these gains may be too large."
            if any("gain" in part for part in at_n_only)
            else ""
        )
    return text


def _change(pair: Sequence[Interval], delta: Quoted | None) -> str:
    if delta is not None:
        word = {1: "gain", -1: "loss", 0: "no difference shown"}[sign(delta.interval)]
        return f" ({word}: {interval(delta.interval, 3, signed=True)})"
    # Without a paired difference only intervals that do not meet speak for a change.
    before, after = pair
    if after.ci_low > before.ci_high:
        return " (higher)"
    return " (lower)" if after.ci_high < before.ci_low else " (intervals overlap)"


def gain_answer(run: Run) -> str:
    """Say what the recommended arm gains on the control, and what is left of the contrast."""
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    sentences = []
    if chosen != control:
        deltas = deltas_of(run, chosen, control)
        fresh = {o: delta for o, delta in deltas.items() if o != JOINT}
        groups = (
            ([o for o, delta in fresh.items() if delta.in_limit], IN_LIMIT),
            ([o for o, delta in fresh.items() if not delta.in_limit], at_n(run)),
            ([JOINT] if JOINT in deltas else [], "of the observer that was trained with it"),
        )
        parts = [
            f"{where}: "
            + "; ".join(f"{observer_label(o)} {interval(deltas[o].interval, 3, signed=True)}" for o in observers)
            for observers, where in groups
            if observers
        ]
        if parts:
            sentences.append(
                f"ΔAUC of {run.label(chosen)}, chosen on validation data, against {control_said(run)}, "
                f"{'; '.join(parts)}."
            )
        before, after = run.arm(control).image_quality.rmse_hu, run.arm(chosen).image_quality.rmse_hu
        sentences.append(f"RMSE goes from {interval(before, 2)} to {interval(after, 2)} HU.{_passed(run)}")
        kept = [run.arm(name).hallucination.present_bias_hu for name in (control, chosen)]
        sentences.append(
            "Contrast kept: the mean bias at the site of real signals goes from "
            f"{interval(kept[0], 2, signed=True)} to {interval(kept[1], 2, signed=True)} HU (0 keeps it all)."
        )
    if words := contrast_words(run):
        sentences.append(f"{words[0].upper()}{words[1:]}.")
    if (best := _best_joint(run)) is not None:
        name, delta = run.label(best[0]), interval(best[1], 3, signed=True)
        sentences.append(
            f"The joint SLNN-NO gains most at {name}: {delta} (picked on the test trials, so a little optimistic)."
            if sign(best[1]) > 0
            else f"No λ shows a gain for the joint SLNN-NO; the largest difference is {delta} at {name}."
        )
    return " ".join(sentences)


def _passed(run: Run) -> str:
    """A sentence where the rule's limit was kept on the validation trials and is passed on the test trials."""
    evaluation = run.settings.get("evaluation")
    limit = evaluation.get("chosen_price") if isinstance(evaluation, dict) else None
    on_validation = {row.arm: row.rmse_hu for row in run.choices.validation}
    names = [
        str(ArmName.parse(name).of_seed(run.seed or None)) for name in (run.choices.chosen_arm, run.tradeoff.control)
    ]
    if not isinstance(limit, int | float) or not set(names) <= set(on_validation):
        return ""
    there = on_validation[names[0]] / on_validation[names[1]] - 1
    here = run.arm(run.choices.chosen_arm).image_quality.rmse_hu.value
    here = here / run.arm(run.tradeoff.control).image_quality.rmse_hu.value - 1
    kept = there <= limit or math.isclose(there, limit, abs_tol=1e-5)  # a price is met but for rounding
    if not kept or here <= limit + 1e-5:
        return ""
    return (
        f" The rule allows {100 * limit:g} % on the validation trials, where it costs {number(100 * there, 1)} %; on "
        "the test trials it costs more than that."
    )


def _best_joint(run: Run) -> tuple[str, Interval] | None:
    control = run.arm(run.tradeoff.control)
    found = []
    for arm in run.summary.arms:
        if arm.alpha is None and arm.lambda_ and arm.head == control.head and arm.seed == run.seed:
            delta = run.delta(arm.name, control.name, JOINT)
            if delta is not None:
                found.append((arm.name, delta))
    return max(found, key=lambda item: item[1].value) if found else None


def bargain_answer(run: Run) -> str:
    """Say which way to the task gives more AUC at equal RMSE; empty where the study compared none."""
    words = {
        "blend": "the blend gives more AUC at equal RMSE",
        "trained": "training at a smaller λ gives more AUC at equal RMSE",
        "neither": "neither curve is better",
    }
    parts: dict[str, list[str]] = {}
    for observer in _ordered(run):
        curves = run.tradeoff.observers[observer].curves
        if curves is not None:
            delta = interval(curves.delta_auc, 3, signed=True)
            parts.setdefault(curves.better, []).append(f"{observer_label(observer)} ({delta})")
    if not parts:
        return ""
    sentence = "; ".join(f"{words[better]} for {listed(who)}" for better, who in parts.items())
    where = f", {at_n(run)}" if run.has_limits else ""
    return f"{sentence[0].upper()}{sentence[1:]}. In brackets: ΔAUC, blend minus trained{where}."


def _ordered(run: Run) -> Sequence[str]:
    return [observer for observer in run.observers if observer in run.tradeoff.observers]
