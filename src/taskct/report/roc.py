"""The picture of ROC curves that `taskct observe` writes."""

import io
import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def draw_roc(curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> bytes:
    """Draw ROC curves.

    Parameters
    ----------
    curves
        False-positive and true-positive fractions, by label.

    Returns
    -------
    A PNG file.
    """
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.0, 1.0], [0.0, 1.0], color="0.7", linewidth=1.0, linestyle="--")
    for index, (label, (fpf, tpf)) in enumerate(curves.items()):
        # The default colours come again after ten curves, then with another line.
        axes.plot(fpf, tpf, linewidth=1.5, label=label, linestyle=("-", "--", ":")[math.floor(index / 10) % 3])
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    axes.set(xlabel="false-positive fraction", ylabel="true-positive fraction")
    axes.legend(loc="lower right", fontsize="small", title="observer, AUC", frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150)
    return out.getvalue()
