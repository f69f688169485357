"""The answer at the top of the page, worked out from the run's numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from taskct.metrics.intervals import Interval
from taskct.metrics.training_seeds import seeds_needed
from taskct.names import JOINT, LOW_DOSE, MSE, ArmName
from taskct.report.caveats import at_n, few_warning, no_verdict, only_these, unit_note
from taskct.report.contrast import contrast_in_short, contrast_kept, contrast_words
from taskct.report.labels import NBSP, arm_label, interval, listed, number, observer_label, percent
from taskct.report.run import Quoted, Run
from taskct.report.schema import sign

IN_LIMIT = "in the limit of many training trials"


@dataclass(frozen=True)
class Headline:
    """What the page says first."""

    two_sentences: tuple[str, str]
    """Does the recommended arm keep what must be found, and what does it cost?"""
    contrast: list[tuple[str, Interval]]
    """Arms and the share of the signals' contrast that they leave; empty where it is not known."""
    answers: list[tuple[str, str]]
    """A few words and the sentences they head."""
    notes: list[str]
    """What the numbers rest on."""
    warnings: list[str]
    """What should make a reader careful."""
    paragraph: str
    """All of it in one paragraph, ready to paste."""

    @property
    def verdict(self) -> str:
        """The two sentences."""
        return " ".join(self.two_sentences)


def headline(run: Run) -> Headline:
    """Answer "Does this denoiser keep what must be found, and what does it cost?" for the quoted seed.

    One arm is recommended: the one that the study's rule chose on validation trials. The first sentence calls a gain
    one only where Holm's adjustment over its observers leaves it standing, and a loss where the whole interval of the
    paired difference is below zero. Both are told in the limit of many training trials where it can be had.
    """
    answers = [("What MSE denoising does", _mse(run)), ("What task-informed training does", _gain(run))]
    answers += [("The better bargain", text)] if (text := _bargain(run)) else []
    sentences = _keeps(run), _costs(run)
    contrast = [(one.label, one.share) for one in contrast_kept(run)]
    paragraph = " ".join([*sentences, answers[0][1], answers[1][1], unit_note(run)])
    return Headline(sentences, contrast, answers, _notes(run), _warnings(run), paragraph)


def _deltas(run: Run, arm: str, versus: str, seed: int | None = None) -> dict[str, Quoted]:
    found = {o: run.quoted_delta(arm, versus, o, seed) for o in run.observers}
    return {observer: delta for observer, delta in found.items() if delta is not None}


def _change_in_rmse(run: Run, arm: str) -> str:
    """The price as the page says it, once: the RMSE on test trials against the control's."""
    control = run.arm(run.tradeoff.control).image_quality.rmse_hu.value
    change = 100 * (run.arm(arm).image_quality.rmse_hu.value / control - 1)
    text = f"{number(abs(change), 1)} % {'more' if change >= 0 else 'less'} RMSE"
    ratio = run.price(arm)
    if ratio is None:
        return text
    low, high = (number(100 * (bound - 1), 1, signed=True) for bound in (ratio.ci_low, ratio.ci_high))
    return f"{text} [{low},{NBSP}{high}{NBSP}%]"


def _keeps(run: Run) -> str:
    """The first sentence: what the recommended arm does to what must be found."""
    gain, contrast = _auc_sentence(run), contrast_in_short(run)
    if not contrast:
        return f"{gain}."
    joined = "and" if contrast.startswith("the contrast is kept") else "but"
    return f"{gain}, {joined} {contrast}." if not gain.startswith("No ") else f"{gain}; {contrast}."


def _auc_sentence(run: Run) -> str:
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    name, base = arm_label(chosen), arm_label(control)
    if chosen == control:
        return f"No gain: the rule chose the {base} control itself, so nothing was bought with the task term"
    if why := no_verdict(run):
        return f"{why}; shown is {name}"
    parts = run.gains_and_losses()
    gains, losses, unclear = parts
    only = only_these(run)
    if not gains and not losses:
        adjusted = " (Holm-adjusted)" if run.task.resampling.p_values else ""
        return (
            f"No gain shown: at {name}, no observer's AUC differs from the {base} control's beyond chance{adjusted}"
            f"{_limit_of_fresh(run, unclear)}{only}"
        )
    if not gains:
        where = _limit_of_fresh(run, losses)
        return f"No gain: at {name}, AUC falls below the {base} control's for the {_labels(losses)}{where}{only}"
    everyone = len(gains) > 2 and not losses + unclear
    text = f"Task-informed training at {name} raises AUC over the {base} control for "
    text += f"all {len(gains)} observers" if everyone else f"the {_labels(gains)}"
    text += f" ({_example(run, gains)})"
    if losses:
        text += f", lowers it for the {_labels(losses)}"
    if unclear:
        text += f", and shows no sure difference for the {_labels(unclear) if len(unclear) == 1 else 'others'}"
    # The example tells of the limit where it is one of many trials.
    where = _limit_of_fresh(run, losses + unclear) if gains == [JOINT] else ""
    return f"{text}{where}{only}"


def _labels(observers: Sequence[str]) -> str:
    return listed([observer_label(observer) for observer in observers])


def _limit_of_fresh(run: Run, observers: Sequence[str]) -> str:
    """Say that the differences of these observers hold in the limit, but for a joint one's, which has none."""
    deltas = _deltas(run, run.choices.chosen_arm, run.tradeoff.control)
    fresh = [deltas[o].in_limit for o in observers if o in deltas and o != JOINT]
    if not fresh or not all(fresh):
        return ""
    return f" ({'fresh ones ' if JOINT in observers else ''}{IN_LIMIT})"


def _example(run: Run, gains: Sequence[str]) -> str:
    """The gain of one observer in numbers: the fresh one nearest to a reader that gains, else the first."""
    observer = next((o for o in ("ho_eye", "ho", "slnn") if o in gains), gains[0])
    quoted = _deltas(run, run.choices.chosen_arm, run.tradeoff.control)[observer]
    whose = "" if len(gains) == 1 else f"{observer_label(observer)} by "
    return f"{whose}{interval(quoted.interval, 3, signed=True)}{_where(run, quoted, observer)}"


def _where(run: Run, quoted: Quoted, observer: str) -> str:
    """Whether a quoted figure holds in the limit; nothing where that is not asked, as of a joint observer."""
    if quoted.in_limit:
        return f" {IN_LIMIT}"
    return "" if observer == JOINT else f" {at_n(run)}"


def _costs(run: Run) -> str:
    """The second sentence: what the recommended arm costs, in RMSE and in false signals."""
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    rates = [run.false_signal(run.arm(name)).false_signal_rate for name in (control, chosen)]
    shown = [f"{interval(percent(rate), 1)} %" for rate in rates]
    if chosen == control:
        return f"It paints a false signal in {shown[0]} of the signal-absent trials."
    return (
        f"The price is {_change_in_rmse(run, chosen)} and false signals in {shown[1]} of signal-absent trials "
        f"(control {shown[0]})."
    )


def _mse(run: Run) -> str:
    low, mse = run.arm(LOW_DOSE), run.arm(MSE)
    before, after = low.image_quality.rmse_hu, mse.image_quality.rmse_hu
    text = f"RMSE goes from {interval(before, 2)} HU (low-dose images) to {interval(after, 2)} HU."
    in_limit: list[str] = []
    at_n_only: list[str] = []
    for observer in run.observers:
        pair = [run.quoted_auc(name, observer) for name in (LOW_DOSE, MSE)]
        delta = run.quoted_delta(MSE, LOW_DOSE, observer)
        if pair[0] is None or pair[1] is None:
            continue
        limit = pair[0].in_limit and pair[1].in_limit and (delta is None or delta.in_limit)
        if not limit:
            pair = [Quoted(arm.observers[observer], in_limit=False) for arm in (low, mse)]
            found = run.delta(MSE, LOW_DOSE, observer)
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


def _gain(run: Run) -> str:
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    sentences = []
    if chosen != control:
        deltas = _deltas(run, chosen, control)
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
                f"ΔAUC of {arm_label(chosen)}, chosen on validation data, against the {arm_label(control)} control, "
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
        name, delta = arm_label(best[0]), interval(best[1], 3, signed=True)
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
    if not there <= limit < here:
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


def _bargain(run: Run) -> str:
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


def _notes(run: Run) -> list[str]:
    notes = [unit_note(run)]
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    if len(run.seeds) > 1 and chosen != control:
        parts = []
        for observer in run.observers:
            values = [_deltas(run, chosen, control, seed).get(observer) for seed in run.seeds]
            shown = [number(v.interval.value, 3, signed=True) for v in values if v is not None]
            if shown:
                parts.append(f"{observer_label(observer)} {', '.join(shown)}")
        where = ", in the limit of many training trials where there is one" if run.has_limits else ""
        notes.append(
            f"The text above quotes seed {run.seed}. ΔAUC of {arm_label(chosen)} for seeds "
            f"{listed(map(str, run.seeds))}{where}: {'; '.join(parts)}.{_over_seeds(run)}"
        )
        notes += [text] if (text := _seeds_wanted(run)) else []
    elif len(run.seeds) == 1:
        notes.append("One seed was trained, so this run says nothing of how training itself varies.")
    if run.task.background_note:
        notes.append(run.task.background_note)
    return notes


def _over_seeds(run: Run) -> str:
    """The chosen arm's difference with training and trials in one interval; empty where no bounds can be had."""
    parts = [
        f"{observer_label(row.observer)} {interval(Interval(row.delta_auc, row.ci_low, row.ci_high), 3, signed=True)}"
        for row in run.retraining.rows
        if (row.arm, row.versus) == (run.choices.chosen_arm, run.tradeoff.control)
        and row.ci_low is not None
        and row.ci_high is not None
    ]
    where = f", {at_n(run)}" if run.has_limits else ""
    return f" Over training seeds and test trials at once{where}: {'; '.join(parts)}." if parts else ""


def _seeds_wanted(run: Run) -> str:
    """How many training seeds would make the interval over seeds narrower than the gain, at the spread seen."""
    chosen, control = run.choices.chosen_arm, run.tradeoff.control
    parts, short = [], False
    for row in run.retraining.rows:
        if (row.arm, row.versus) != (chosen, control) or row.ci_low is None or row.ci_high is None:
            continue
        values = [run.delta(chosen, control, row.observer, seed) for seed in run.seeds]
        deltas = [found.value for found in values if found is not None]
        if len(deltas) != row.n_seeds:
            continue
        half = (row.ci_high - row.ci_low) / 2
        quantile = float(stdtrit(math.inf if row.df is None else row.df, 0.975))
        wanted = seeds_needed(
            row.delta_auc,
            seed_variance=float(np.var(deltas, ddof=1)),
            mean_variance=(half / quantile) ** 2,
            n_seeds=row.n_seeds,
        )
        short |= half >= abs(row.delta_auc)
        n = "no number" if wanted is None else f"{wanted}"
        parts.append(f"{n} for {observer_label(row.observer)} (now ±{number(half, 3)})")
    if not parts or not short:
        return ""
    n_seeds = len(run.seeds)
    where = f" {at_n(run)}" if run.has_limits else ""
    return (
        f"{n_seeds} training seeds leave {n_seeds - 1} degree{'s' if n_seeds > 2 else ''} of freedom to the spread "
        f"between trainings, so the interval over them is wide. Seeds that would make it narrower than the "
        f"gain{where}, were gain and spread to stay as they are: {'; '.join(parts)}."
    )


def _warnings(run: Run) -> list[str]:
    few = few_warning(run)
    warnings = [] if few is None else [few]
    gains, losses, unclear = run.gains_and_losses()
    if gains == [JOINT] and losses + unclear:
        warnings.append(
            "Only the jointly trained SLNN-NO gains; no observer fitted afresh does. The denoiser may be "
            "writing marks that only its own observer reads: see the hallucination check."
        )
    return warnings + _chance_of_training(run) + _untrained(run) + _hallucinated(run) + _at_edge(run)


def _chance_of_training(run: Run) -> list[str]:
    """A warning where the gain of the quoted seed does not stand above the chance of another training."""
    gains = run.gains_and_losses()[0]
    unsure = [
        f"{observer_label(row.observer)} {interval(Interval(row.delta_auc, row.ci_low, row.ci_high), 3, signed=True)}"
        for row in run.retraining.rows
        if (row.arm, row.versus) == (run.choices.chosen_arm, run.tradeoff.control)
        and row.observer in gains
        and row.ci_low is not None
        and row.ci_high is not None
        and row.ci_low <= 0.0
    ]
    if not unsure:
        return []
    return [
        f"The gain is that of seed {run.seed}. Over {len(run.seeds)} training seeds and the test trials at once it is "
        f"not told from 0: {'; '.join(unsure)}."
    ]


def _untrained(run: Run) -> list[str]:
    low, *rmse = (run.arm(name).image_quality.rmse_hu.value for name in (LOW_DOSE, MSE, run.tradeoff.control))
    return [
        f"{arm_label(name)}: this denoiser did not train. Its RMSE, {number(value, 2)} HU, is above the "
        f"{number(low, 2)} HU of the low-dose images."
        for name, value in zip((MSE, run.tradeoff.control), rmse, strict=True)
        if value > low
    ]


def _hallucinated(run: Run) -> list[str]:
    control, chosen = run.arm(run.tradeoff.control), run.arm(run.choices.chosen_arm)
    warnings = []
    painted = run.false_signal(chosen)
    delta = painted.delta_to_control
    if delta is not None and sign(delta) > 0:
        rates = [interval(percent(p.false_signal_rate), 1) for p in (painted, run.false_signal(control))]
        warnings.append(
            f"{chosen.label} paints a false signal in {rates[0]} % of the signal-absent trials, the {control.label} "
            f"control in {rates[1]} %: {interval(percent(delta), 1, signed=True)} percentage points."
        )
    excess = painted.excess_present_bias_hu
    if excess is not None and sign(excess) > 0:
        biases = [interval(arm.hallucination.present_bias_hu, 2, signed=True) for arm in (chosen, control)]
        warnings.append(
            f"At the site of real signals the mean bias of {chosen.label}, {biases[0]} HU, is larger in size than the "
            f"{control.label} control's, {biases[1]} HU, by {interval(excess, 2, signed=True)} HU: "
            "signals are overdrawn or wiped out."
        )
    return warnings


def _at_edge(run: Run) -> list[str]:
    found = []
    for name in dict.fromkeys((run.choices.chosen_arm, run.tradeoff.control)):
        key = ArmName.parse(name).of_seed(run.seed).quoted
        who = [observer_label(row.observer) for row in run.choices.at_edge if row.arm == key]
        if who:
            found.append(f"{arm_label(name)} ({listed(who)})")
    if not found:
        return []
    return [f"Regularization was chosen at the end of its list for {listed(found)}: a wider list may raise these AUCs."]
