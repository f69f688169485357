"""The answer at the top of the page, worked out from the run's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskct.metrics.intervals import Interval
from taskct.names import JOINT, MSE, ArmName, percent_text
from taskct.report.answers import bargain_answer, denoising_answer, gain_answer
from taskct.report.caveats import no_verdict, only_these, unit_note
from taskct.report.contrast import contrast_in_short, contrast_kept
from taskct.report.families import from_elsewhere
from taskct.report.labels import interval, observer_label, percent
from taskct.report.notes import notes_of, warnings_of
from taskct.report.quoting import IN_LIMIT, change_in_rmse, control_said, deltas_of, observers_listed, said_where
from taskct.report.run import Run
from taskct.report.task_path import path_answers


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
    answers = [(_what_it_does(run), denoising_answer(run))] if run.has(MSE) else []
    answers += [(f"What {label} does", text) for label, text in _elsewhere(run)]
    if run.trained:
        answers += [("What task-informed training does", gain_answer(run))]
    answers += [("The better bargain", text)] if (text := bargain_answer(run)) else []
    answers += path_answers(run)
    sentences = _keeps(run), _costs(run)
    contrast = [(one.label, one.share) for one in contrast_kept(run)]
    paragraph = " ".join([*sentences, *(text for _, text in answers[:2]), unit_note(run)])
    return Headline(sentences, contrast, answers, notes_of(run), warnings_of(run), paragraph)


def _what_it_does(run: Run) -> str:
    """The question that the denoiser of MSE answers, or that of a network that came with its weights."""
    return "What MSE denoising does" if run.given is None else f"What {run.label(MSE)} does"


def _elsewhere(run: Run) -> list[tuple[str, str]]:
    """What every denoiser does whose images came from elsewhere, and the chosen one where nothing was trained."""
    names = from_elsewhere(run)
    names += [] if run.trained else [run.choices.chosen_arm]
    return [(run.label(name), denoising_answer(run, name)) for name in dict.fromkeys(names) if name != MSE]


def _keeps(run: Run) -> str:
    """The first sentence: what the recommended arm does to what must be found."""
    gain, contrast = _auc_sentence(run), contrast_in_short(run)
    if not contrast:
        return f"{gain}."
    joined = "and" if contrast.startswith("the contrast is kept") else "but"
    return f"{gain}, {joined} {contrast}." if not gain.startswith("No ") else f"{gain}; {contrast}."


def _auc_sentence(run: Run) -> str:
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    name, base, price = _place(run, chosen), control_said(run), ArmName.parse(chosen).price
    at = "at" if run.trained else "after"
    if chosen == control:
        return f"No gain: the rule chose {base} itself, so nothing was bought with the task term"
    if why := no_verdict(run):
        return f"{why}; shown is {run.label(chosen)}"
    parts = run.gains_and_losses()
    gains, losses, unclear = parts
    only = only_these(run)
    if not gains and not losses:
        adjusted = " (Holm-adjusted)" if run.task.resampling.p_values else ""
        return (
            f"No gain shown: {at} {name}, no observer's AUC differs from that of {base} beyond chance{adjusted}"
            f"{_limit_of_fresh(run, unclear)}{only}"
        )
    if not gains:
        where = _limit_of_fresh(run, losses)
        return f"No gain: {at} {name}, AUC falls below that of {base} for the {observers_listed(losses)}{where}{only}"
    everyone = len(gains) > 2 and not losses + unclear
    who = f"Task-informed training at {name}" if price is None else f"At {name} the task path"
    text = f"{who if run.trained else name} raises AUC over {base} for "
    text += f"all {len(gains)} observers" if everyone else f"the {observers_listed(gains)}"
    text += f" ({_example(run, gains)})"
    if losses:
        text += f", lowers it for the {observers_listed(losses)}"
    if unclear:
        text += f", and shows no sure difference for the {observers_listed(unclear) if len(unclear) == 1 else 'others'}"
    # The example tells of the limit where it is one of many trials.
    where = _limit_of_fresh(run, losses + unclear) if gains == [JOINT] else ""
    return f"{text}{where}{only}"


def _place(run: Run, name: str) -> str:
    """Where an arm stands: at a price of RMSE on a task path, else by its label."""
    price = ArmName.parse(name).price
    return run.label(name) if price is None else f"a price of {percent_text(price)} in RMSE"


def _limit_of_fresh(run: Run, observers: Sequence[str]) -> str:
    """Say that the differences of these observers hold in the limit, but for a joint one's, which has none."""
    deltas = deltas_of(run, run.choices.chosen_arm, run.tradeoff.control)
    fresh = [deltas[o].in_limit for o in observers if o in deltas and o != JOINT]
    if not fresh or not all(fresh):
        return ""
    return f" ({'fresh ones ' if JOINT in observers else ''}{IN_LIMIT})"


def _example(run: Run, gains: Sequence[str]) -> str:
    """The gain of one observer in numbers: the fresh one nearest to a reader that gains, else the first."""
    observer = next((o for o in ("ho_eye", "ho", "slnn") if o in gains), gains[0])
    quoted = deltas_of(run, run.choices.chosen_arm, run.tradeoff.control)[observer]
    whose = "" if len(gains) == 1 else f"{observer_label(observer)} by "
    return f"{whose}{interval(quoted.interval, 3, signed=True)}{said_where(run, quoted, observer)}"


def _costs(run: Run) -> str:
    """The second sentence: what the recommended arm costs, in RMSE and in false signals."""
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    rates = [run.false_signal(run.arm(name)).false_signal_rate for name in (control, chosen)]
    shown = [f"{interval(percent(rate), 1)} %" for rate in rates]
    if chosen == control:
        return f"It paints a false signal in {shown[0]} of the signal-absent trials."
    if not run.trained:
        return (
            f"It has {change_in_rmse(run, chosen)} than {control_said(run)}, and paints false signals in {shown[1]} of "
            f"signal-absent trials ({control_said(run)} {shown[0]})."
        )
    return (
        f"The price is {change_in_rmse(run, chosen)} and false signals in {shown[1]} of signal-absent trials "
        f"(control {shown[0]})."
    )
