"""The settings of the task path."""

from typing import Annotated, Any, Self

from annotated_types import Gt, Le
from pydantic import model_validator

from taskct.config.fields import Section, setting
from taskct.config.training import planned
from taskct.denoisers.prices import CORRECTION, MAX_PRICE
from taskct.ranges import Range
from taskct.training.plan import COPIES, NOISE, PATH

Price = Annotated[float, Gt(0), Le(MAX_PRICE)]


def _sized(default: float, text: str, allowed: Range) -> Any:  # noqa: ANN401 - a pydantic field
    return setting(default, text, allowed.unit, **allowed.limits())


class PathSettings(Section):
    """The task path: a correction of the frozen control, one training for every price in RMSE."""

    prices: tuple[Price, ...] = setting(
        (0.005, 0.01, 0.02, 0.05, 0.1),
        "working points: RMSE over the control's, less 1, on validation trials",
        "fraction",
        min_length=1,
    )
    trained_at: float = setting(
        0.02, "the price at which the correction is trained, one of path.prices", "fraction", gt=0, le=MAX_PRICE
    )
    epochs: int = planned("epochs", "passes over all copies", PATH)
    learning_rate: float = planned("learning_rate", "peak learning rate", PATH)
    head_learning_rate: float = planned("head_learning_rate", "peak learning rate of the observer head", PATH)
    noise_hu: float = _sized(4.0, "white noise on every pixel that the head sees in training", NOISE)
    reader: bool = setting(
        True,
        "half of the loss is that of a reader who learned on references and stays so: the Hotelling observer behind an "
        "eye; False leaves the loss to the head",
    )
    mirrored: bool = setting(True, "show the correction mirrored and turned trials, and undo it before the head")
    copies: int = _sized(
        2,
        "copies of the training trials with another trial's noise and signal on each background, with and without the "
        "signal; 0 trains on the trials as they are",
        COPIES,
    )
    n_channels: int = _sized(32, "feature maps of the correction", CORRECTION["n_channels"])
    pool: int = _sized(4, "side of the squares that the correction takes as one", CORRECTION["pool"])

    @model_validator(mode="after")
    def _trained_at_a_price(self) -> Self:
        if len(set(self.prices)) != len(self.prices):
            raise ValueError(f"path.prices must differ, and {list(self.prices)} do not")
        if self.trained_at not in self.prices:
            raise ValueError(f"path.trained_at is {self.trained_at:g}: give one of path.prices {list(self.prices)}")
        return self
