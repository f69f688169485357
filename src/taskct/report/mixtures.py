"""Arms whose images are a mixture of two others': blends, and the working points of a task path."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskct.names import LOW_DOSE, ArmName
from taskct.report.run import Run
from taskct.report.schema import PathRow


@dataclass(frozen=True)
class Mixture:
    """The images of an arm as (1 − share) · start + share · end."""

    start: str
    """Name of the control; of images from elsewhere the low-dose ones."""
    end: str
    """Name of the task-informed arm of a blend; of a task path, its saved arm with the largest price."""
    share: float


def mixture_of(run: Run, name: str) -> Mixture | None:
    """Return what the images of an arm of the quoted seed are mixed of, both saved; None where they are not mixed.

    A blend has α of the task-informed network. On a task path, control + a Δ, an arm of strength a has a over the
    strength of the path's end.
    """
    arm, saved = ArmName.parse(name), run.examples.denoised
    control = str(arm.control)
    if arm.kind == "import":
        if arm.alpha is None:
            return None
        end = str(ArmName("import", imported=arm.imported, seed=arm.seed))
        return Mixture(LOW_DOSE, end, arm.alpha) if end in saved else None
    if arm.alpha is not None:
        end, share = str(ArmName("lambda", arm.task_weight, variant=arm.variant, seed=arm.seed)), arm.alpha
    elif arm.price is not None:
        strengths = {row.arm: row.strength for row in run.path_points(name)}
        reach = max((one for one in strengths if one in saved), key=strengths.__getitem__, default=None)
        if reach is None or name not in strengths or reach == name:
            return None
        end, share = reach, strengths[name] / strengths[reach]
    else:
        return None
    return Mixture(control, end, share) if control in saved and end in saved else None


@dataclass(frozen=True)
class PriceLaw:
    """What a share s of the end of a task path costs: (1 + price)² − 1 = linear · s + square · s²."""

    linear: float
    square: float
    """Above 0."""

    def share(self, price: float) -> float:
        """Return the share of the end at a price, a fraction of the control's RMSE, at least 0."""
        if price == 0.0:
            return 0.0  # the control itself, though a correction that lowers the error is free at another strength too
        rise = (1.0 + price) ** 2 - 1.0
        root = math.sqrt(self.linear**2 + 4.0 * self.square * rise)
        return (root - self.linear) / (2.0 * self.square)


def price_law(rows: Sequence[PathRow], end_strength: float) -> PriceLaw | None:
    """Return the law that the prices and strengths of a path follow; None where they follow none.

    MSE is a parabola in the strength that starts at the control's, so two working points tell it, and one tells the
    parabola whose lowest point is the control.
    """
    share = np.array([row.strength / end_strength for row in rows if row.strength > 0.0])
    rise = np.array([(1.0 + row.price) ** 2 - 1.0 for row in rows if row.strength > 0.0])
    if len(share) == 0:
        return None
    powers = np.stack([share, share**2], axis=1)[:, 0 if len(share) > 1 else 1 :]
    *linear, square = np.linalg.lstsq(powers, rise)[0].tolist()
    return PriceLaw(linear[0] if linear else 0.0, square) if square > 0.0 else None
