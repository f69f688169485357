"""How the page's sentences quote differences and prices."""

from collections.abc import Sequence

from taskct.names import JOINT, LOW_DOSE, ArmName
from taskct.report.caveats import at_n
from taskct.report.labels import NBSP, listed, number, observer_label
from taskct.report.run import Quoted, Run

IN_LIMIT = "in the limit of many training trials"


def deltas_of(run: Run, arm: str, versus: str, seed: int | None = None) -> dict[str, Quoted]:
    """Differences that text quotes of two arms, by observer; those of the study that it has."""
    found = {o: run.quoted_delta(arm, versus, o, seed) for o in run.observers}
    return {observer: delta for observer, delta in found.items() if delta is not None}


def control_said(run: Run) -> str:
    """What prices and gains are told against, as a sentence has it: a control, or images that no study trained."""
    control = run.tradeoff.control
    kind = ArmName.parse(control).kind
    if kind == "import":
        return f"the images of {run.label(control)}"
    return f"the {run.label(control)}" if control == LOW_DOSE else f"the {run.label(control)} control"


def change_in_rmse(run: Run, arm: str) -> str:
    """The price as the page says it, once: the RMSE on test trials against the control's, see `control_said`."""
    control = run.arm(run.tradeoff.control).image_quality.rmse_hu.value
    change = 100 * (run.arm(arm).image_quality.rmse_hu.value / control - 1)
    text = f"{number(abs(change), 1)} % {'more' if change >= 0 else 'less'} RMSE"
    ratio = run.price(arm)
    if ratio is None:
        return text
    low, high = (number(100 * (bound - 1), 1, signed=True) for bound in (ratio.ci_low, ratio.ci_high))
    return f"{text} [{low},{NBSP}{high}{NBSP}%]"


def observers_listed(observers: Sequence[str]) -> str:
    """Name observers as a sentence does."""
    return listed([observer_label(observer) for observer in observers])


def said_where(run: Run, quoted: Quoted, observer: str) -> str:
    """Whether a quoted figure holds in the limit; nothing where that is not asked, as of a joint observer."""
    if quoted.in_limit:
        return f" {IN_LIMIT}"
    return "" if observer == JOINT else f" {at_n(run)}"
