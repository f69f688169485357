"""The answer at the top of the page, worked out from the run's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskct.metrics.intervals import Interval
from taskct.names import JOINT, LOW_DOSE, MSE, ArmName
from taskct.report.caveats import few_warning, no_verdict, only_these, unit_note
from taskct.report.labels import arm_label, interval, listed, number, observer_label, percent
from taskct.report.run import Run
from taskct.report.schema import ArmFigures, WithinTolerance, sign


@dataclass(frozen=True)
class Headline:
    """What the page says first."""

    verdict: str
    """One sentence: is there a gain, and for what."""
    answers: list[tuple[str, str]]
    """A few words and the sentences they head."""
    notes: list[str]
    """What the numbers rest on."""
    warnings: list[str]
    """What should make a reader careful."""


def headline(run: Run) -> Headline:
    """Answer "Does this denoiser keep what must be found, and what does it cost?" for the quoted seed.

    The verdict calls a gain one only where Holm's adjustment over its observers leaves it standing, and a loss where
    the whole interval of the paired difference is below zero.
    """
    answers = [("What MSE denoising does", _mse(run)), ("What task-informed training does", _gain(run))]
    more = [("The better bargain", _bargain(run)), ("At almost no price", _within(run))]
    answers += [(head, text) for head, text in more if text]
    return Headline(_verdict(run), answers, _notes(run), _warnings(run))


def _deltas(run: Run, arm: str, versus: str, seed: int | None = None) -> dict[str, Interval]:
    found = {o: run.delta(arm, versus, o, seed) for o in run.observers}
    return {observer: delta for observer, delta in found.items() if delta is not None}


def _price(run: Run, arm: str) -> str:
    control = run.arm(run.tradeoff.control).image_quality.rmse_hu.value
    percent = 100 * (run.arm(arm).image_quality.rmse_hu.value / control - 1)
    return f"{number(abs(percent), 1)} % {'more' if percent >= 0 else 'less'} RMSE"


def _verdict(run: Run) -> str:
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    name, base = arm_label(chosen), arm_label(control)
    if chosen == control:
        return f"No gain: the rule chose the {base} control itself, so nothing was bought with the task term."
    gains, losses, unclear = ([observer_label(o) for o in part] for part in run.gains_and_losses())
    price = _price(run, chosen)
    if why := no_verdict(run):
        return f"{why}; shown is {name}, at {price}."
    only = only_these(run)
    if not gains and not losses:
        adjusted = " (Holm-adjusted)" if run.task.resampling.p_values else ""
        return (
            f"No gain shown: at {name}, no observer's AUC differs from the {base} control's by more than "
            f"these test trials can tell from zero{adjusted}, for {price}.{only}"
        )
    if not gains:
        return f"No gain: at {name}, AUC falls below the {base} control's for the {listed(losses)}, for {price}.{only}"
    text = f"Task-informed training at {name} raises AUC over the {base} control for the {listed(gains)}"
    if losses:
        text += f", lowers it for the {listed(losses)}"
    if unclear:
        text += f", and shows no sure difference for the {listed(unclear)}"
    return f"{text}; the price is {price}.{only}"


def _mse(run: Run) -> str:
    low, mse = run.arm(LOW_DOSE), run.arm(MSE)
    before, after = low.image_quality.rmse_hu.value, mse.image_quality.rmse_hu.value
    text = f"RMSE goes from {number(before, 2)} HU (low-dose images) to {number(after, 2)} HU."
    parts = []
    for observer in run.observers:
        if observer in low.observers and observer in mse.observers:
            pair = (arm.observers[observer].value for arm in (low, mse))
            change = " → ".join(number(auc, 3) for auc in pair)
            parts.append(f"{observer_label(observer)} {change}{_change(run, low, mse, observer)}")
    return f"{text} AUC: {'; '.join(parts)}." if parts else text


def _change(run: Run, low: ArmFigures, mse: ArmFigures, observer: str) -> str:
    delta = run.delta(MSE, LOW_DOSE, observer)
    if delta is not None:
        word = {1: "gain", -1: "loss", 0: "no difference shown"}[sign(delta)]
        return f" ({word}: {interval(delta, 3, signed=True)})"
    a, b = low.observers[observer], mse.observers[observer]
    # Without a paired difference only intervals that do not meet speak for a change.
    if b.ci_low > a.ci_high:
        return " (higher)"
    return " (lower)" if b.ci_high < a.ci_low else " (intervals overlap)"


def _gain(run: Run) -> str:
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    sentences = []
    if chosen != control:
        deltas = _deltas(run, chosen, control)
        if deltas:
            parts = [f"{observer_label(o)} {interval(d, 3, signed=True)}" for o, d in deltas.items()]
            sentences.append(
                f"ΔAUC of {arm_label(chosen)}, chosen on validation data, against the {arm_label(control)} "
                f"control: {'; '.join(parts)}."
            )
        before, after = run.arm(control).image_quality.rmse_hu, run.arm(chosen).image_quality.rmse_hu
        sentences.append(f"RMSE goes from {interval(before, 2)} to {interval(after, 2)} HU ({_price(run, chosen)}).")
        kept = [run.arm(name).hallucination.present_bias_hu for name in (control, chosen)]
        sentences.append(
            "Contrast kept: the mean bias at the site of real signals goes from "
            f"{interval(kept[0], 2, signed=True)} to {interval(kept[1], 2, signed=True)} HU (0 keeps it all)."
        )
    if (best := _best_joint(run)) is not None:
        name, delta = arm_label(best[0]), interval(best[1], 3, signed=True)
        sentences.append(
            f"The joint SLNN-NO gains most at {name}: {delta} (picked on the test trials, so a little optimistic)."
            if sign(best[1]) > 0
            else f"No λ shows a gain for the joint SLNN-NO; the largest difference is {delta} at {name}."
        )
    return " ".join(sentences)


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
    return f"{sentence[0].upper()}{sentence[1:]}. In brackets: ΔAUC, blend minus trained."


def _within(run: Run) -> str:
    tolerance, control = run.tradeoff.tolerance, run.tradeoff.control
    by_arm: dict[str, list[str]] = {}
    ratios: dict[str, WithinTolerance] = {}
    for observer in _ordered(run):
        within = run.tradeoff.observers[observer].within_tolerance
        if within is not None:
            delta = interval(within.delta_auc, 3, signed=True)
            unclear = "" if sign(within.delta_auc) > 0 else ", no gain shown"
            by_arm.setdefault(within.arm, []).append(f"{observer_label(observer)} ({delta}{unclear})")
            ratios[within.arm] = within
    if not by_arm:
        return ""
    parts = []
    for arm, who in by_arm.items():
        if arm == control:
            names = [part.split(" (")[0] for part in who]
            parts.append(f"no arm beats the control for {listed(names)}")
            continue
        ratio = ratios[arm].rmse_ratio
        over = ", over the limit on test trials" if ratio.value > 1 + tolerance else ""
        parts.append(f"{arm_label(arm)} (RMSE × {interval(ratio, 3)}{over}) gives the most AUC for {listed(who)}")
    return (
        f"Within {100 * tolerance:g} % of the control's RMSE (selected on validation data, numbers from test "
        f"trials): {'; '.join(parts)}. In brackets: ΔAUC against the control."
    )


def _ordered(run: Run) -> Sequence[str]:
    return [observer for observer in run.observers if observer in run.tradeoff.observers]


def _notes(run: Run) -> list[str]:
    notes = [unit_note(run)]
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    if len(run.seeds) > 1 and chosen != control:
        parts = []
        for observer in run.observers:
            values = [_deltas(run, chosen, control, seed).get(observer) for seed in run.seeds]
            shown = [number(v.value, 3, signed=True) for v in values if v is not None]
            if shown:
                parts.append(f"{observer_label(observer)} {', '.join(shown)}")
        notes.append(
            f"The text above quotes seed {run.seed}. ΔAUC of {arm_label(chosen)} for seeds "
            f"{listed(map(str, run.seeds))}: {'; '.join(parts)}.{_over_seeds(run)}"
        )
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
    return f" Over training seeds and test trials at once: {'; '.join(parts)}." if parts else ""


def _warnings(run: Run) -> list[str]:
    few = few_warning(run)
    warnings = [] if few is None else [few]
    gains, losses, unclear = run.gains_and_losses()
    if gains == [JOINT] and losses + unclear:
        warnings.append(
            "Only the jointly trained SLNN-NO gains; no observer fitted afresh does. The denoiser may be "
            "writing marks that only its own observer reads: see the hallucination check."
        )
    return warnings + _untrained(run) + _hallucinated(run) + _at_edge(run)


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
