"""The picture of ROC curves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import delong_interval, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("-", "--", "-.", ":")  # curves are told apart without colour too


def plot_roc(
    test_statistic: NDArray[np.floating] | Mapping[str, NDArray[np.floating]],
    signal_present: NDArray[np.bool_],
    *,
    ax: "Axes | None" = None,
    confidence: float = 0.95,
) -> "Axes":
    """Draw ROC curves, with the AUC and its interval (DeLong) in the legend.

    Parameters
    ----------
    test_statistic
        Scores of the trials, shape `(n,)`, higher means present; or several such by label.
    signal_present
        Truth of every trial, bool, shape `(n,)`.
    ax
        Where to draw; None is a new figure.
    confidence
        Coverage of the intervals, in (0, 1). They hold for other trials like these whose backgrounds differ from trial
        to trial, not for another training.

    Returns
    -------
    The matplotlib axes.

    Raises
    ------
    UserError
        If scores and truth differ in number.
    ValueError
        If a class has fewer than 2 trials, or a score is not finite.
    """
    given = test_statistic if isinstance(test_statistic, Mapping) else {"": test_statistic}
    present = np.asarray(signal_present, dtype=bool)
    curves = {}
    for label, scores in given.items():
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != present.shape:
            raise UserError(
                f"scores {label!r} have the shape {values.shape}, the truth {present.shape}: one a trial each"
            )
        curves[label] = (values[present], values[~present])
    intervals = {label: delong_interval(*scores, confidence=confidence) for label, scores in curves.items()}
    return draw_roc(curves, intervals, ax=ax)


def draw_roc(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    intervals: Mapping[str, Interval],
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw ROC curves from test statistics of present and absent trials; their AUC and interval stand in the legend."""
    import matplotlib.pyplot as plt  # here, since it takes long to load

    if ax is None:
        _, ax = plt.subplots(figsize=(4.8, 4.8), layout="constrained")
    ax.plot([0.0, 1.0], [0.0, 1.0], color="0.8", linewidth=0.8, zorder=0)
    for number, (label, scores) in enumerate(curves.items()):
        one = intervals[label]
        text = f"{label}: " if label else ""
        text += f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]"
        ax.plot(*roc_curve(*scores), linestyle=LINES[number % len(LINES)], linewidth=1.4, label=text)
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    ax.set(xlabel="false-positive fraction", ylabel="true-positive fraction")
    ax.legend(title="AUC", loc="lower right", fontsize="small", frameon=False)
    return ax
