"""What the verdict rests on, and what should make a reader careful."""

import math

import numpy as np
from scipy.special import stdtrit

from taskct.metrics.intervals import Interval
from taskct.metrics.training_seeds import seeds_needed
from taskct.names import JOINT, LOW_DOSE, MSE, ArmName
from taskct.report.caveats import at_n, few_warning, unit_note
from taskct.report.labels import interval, listed, number, observer_label, percent
from taskct.report.quoting import control_said, deltas_of
from taskct.report.run import Run
from taskct.report.schema import sign

_NETWORKS = ("mse", "lambda")
"""Kinds of arms that a study trains by MSE."""


def notes_of(run: Run) -> list[str]:
    """Say what the numbers rest on, a sentence or two each."""
    notes = [unit_note(run)]
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    if len(run.seeds) > 1 and chosen != control:
        parts = []
        for observer in run.observers:
            values = [deltas_of(run, chosen, control, seed).get(observer) for seed in run.seeds]
            shown = [number(v.interval.value, 3, signed=True) for v in values if v is not None]
            if shown:
                parts.append(f"{observer_label(observer)} {', '.join(shown)}")
        where = ", in the limit of many training trials where there is one" if run.has_limits else ""
        notes.append(
            f"The text above quotes seed {run.seed}. ΔAUC of {run.label(chosen)} for seeds "
            f"{listed(map(str, run.seeds))}{where}: {'; '.join(parts)}.{_over_seeds(run)}"
        )
        notes += [text] if (text := _seeds_wanted(run)) else []
    elif len(run.seeds) == 1 and run.trained:
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


def warnings_of(run: Run) -> list[str]:
    """Say what should make a reader careful; empty where nothing does."""
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
    names = [name for name in (MSE, run.tradeoff.control) if run.has(name) and ArmName.parse(name).kind in _NETWORKS]
    low, *rmse = (run.arm(name).image_quality.rmse_hu.value for name in (LOW_DOSE, *names))
    return [
        f"{run.label(name)}: this denoiser {_no_use(run, name)}. Its RMSE, {number(value, 2)} HU, is above the "
        f"{number(low, 2)} HU of the low-dose images."
        for name, value in zip(names, rmse, strict=True)
        if value > low
    ]


def _no_use(run: Run, name: str) -> str:
    return "did not train" if name != MSE or run.given is None else "does not suit these images, or sees HU otherwise"


def _hallucinated(run: Run) -> list[str]:
    control, chosen = run.arm(run.tradeoff.control), run.arm(run.choices.chosen_arm)
    warnings = []
    painted = run.false_signal(chosen)
    delta = painted.delta_to_control
    if delta is not None and sign(delta) > 0:
        rates = [interval(percent(p.false_signal_rate), 1) for p in (painted, run.false_signal(control))]
        warnings.append(
            f"{run.label(chosen.name)} paints a false signal in {rates[0]} % of the signal-absent trials, "
            f"{control_said(run)} in {rates[1]} %: {interval(percent(delta), 1, signed=True)} percentage points."
        )
    excess = painted.excess_present_bias_hu
    if excess is not None and sign(excess) > 0:
        biases = [interval(arm.hallucination.present_bias_hu, 2, signed=True) for arm in (chosen, control)]
        warnings.append(
            f"At the site of real signals the mean bias of {run.label(chosen.name)}, {biases[0]} HU, is larger in size "
            f"than that of {control_said(run)}, {biases[1]} HU, by {interval(excess, 2, signed=True)} HU: "
            "signals are overdrawn or wiped out."
        )
    return warnings


def _at_edge(run: Run) -> list[str]:
    found = []
    for name in dict.fromkeys((run.choices.chosen_arm, run.tradeoff.control)):
        key = ArmName.parse(name).of_seed(run.seed).quoted
        who = [observer_label(row.observer) for row in run.choices.at_edge if row.arm == key]
        if who:
            found.append(f"{run.label(name)} ({listed(who)})")
    if not found:
        return []
    return [f"Regularization was chosen at the end of its list for {listed(found)}: a wider list may raise these AUCs."]
