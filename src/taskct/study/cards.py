"""The card of a trained denoiser, checked before anything is done with it: it may come from anybody."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from taskct.denoisers.prices import CORRECTION, MAX_PRICE
from taskct.denoisers.sizes import MAX_MULTIPLE
from taskct.errors import UserError
from taskct.training.checkpoints import read_card

MOST_HU2 = 1e8
"""The largest mean square, and the reciprocal of the smallest, that the dial of a task path may be made of, HU²."""

ABOUT = ("learned_on", "licence", "intended_use")
"""What the card of a blend has from that of its control."""

PATH = ["price", "correction", "squared_error_hu2"]
"""What the card of a task path must have besides."""


class _Correction(BaseModel):
    """What the correction of a task path is built from."""

    model_config = ConfigDict(strict=True, extra="forbid")

    n_channels: Annotated[int, Field(**CORRECTION["n_channels"].limits())]
    pool: Annotated[int, Field(**CORRECTION["pool"].limits())]


Above = Annotated[float, Field(gt=0)]


class Spread(BaseModel):
    """Of a number over the training images: its mean, and 5 % of the images below and above its range."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    mean: Annotated[float, Field(ge=0)]
    low: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]


class LearnedKernel(BaseModel):
    """A reconstruction kernel, and where its MTF has fallen to 50 % and 10 %, cycles/mm."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    name: str
    mtf50_per_mm: Above
    mtf10_per_mm: Above


class LearnedOn(BaseModel):
    """What a model learned on, as `learned.learned_on` writes it; what is not known is None."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    pixel_mm: Above | None = None
    slice_mm: Above | None = None
    kernel: LearnedKernel | None = None
    dose_fraction: Above | None = None
    anatomy: str | None = None
    task: str | None = None
    n_trials: Annotated[int, Field(ge=1)] | None = None
    image_pixels: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    range_hu: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    noise_hu: Spread | None = None
    texture_per_mm: Spread | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = [] if self.range_hu is None else [tuple(self.range_hu)]
        ends += [(one.low, one.high) for one in (self.noise_hu, self.texture_per_mm) if one is not None]
        if any(low > high for low, high in ends):
            raise ValueError("the low end of a range is above its high end")
        return self


class _Card(BaseModel):
    """What taskct itself reads of a card; there may be more."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    network: str
    arguments: dict[str, Any]
    dtype: Literal["bfloat16", "float32"]
    size_multiple: Annotated[int, Field(ge=1, le=MAX_MULTIPLE)] | None = None  # None before there was padding
    stage: str | None = None
    arm: str | None = None
    task: str | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    pixel_mm: Annotated[float, Field(gt=0)] | None = None
    learned_on: LearnedOn | None = None
    licence: str | None = None
    intended_use: str | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    mse_validation_hu2: Annotated[float, Field(ge=0)] | None = None
    price: Annotated[float, Field(ge=0, le=MAX_PRICE)] | None = None
    correction: _Correction | None = None
    squared_error_hu2: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"blend": ["alpha"], "pretrain": ["mse_validation_hu2"], "path": PATH}.get(self.stage or "", [])
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing")
        if self.stage == "path" and self.squared_error_hu2 is not None:
            control, mixed, energy = self.squared_error_hu2
            if not (min(control, energy) >= 1.0 / MOST_HU2 and max(control, abs(mixed), energy) <= MOST_HU2):
                raise ValueError(f"squared_error_hu2: {[control, mixed, energy]} are no errors of a CT image, HU²")
        return self


def learned_of(card: Mapping[str, Any]) -> LearnedOn:
    """What a checked card says that its model learned on; all unknown where an earlier version wrote it."""
    told = LearnedOn.model_validate(card.get("learned_on") or {})
    return told if told.pixel_mm is not None else told.model_copy(update={"pixel_mm": card.get("pixel_mm")})


def read_denoiser_card(weights: Path) -> dict[str, Any]:
    """The card beside a denoiser's or a blend's weights.

    Parameters
    ----------
    weights
        The `.safetensors` file.

    Raises
    ------
    UserError
        If the weights or the card are missing or unreadable, or the card lacks something or holds something of another
        type or out of its range, such as an alpha outside [0, 1] or a price above 20 %.
    """
    content, card = read_card(weights), weights.with_suffix(".json")
    try:
        _Card.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key, wrong = str(first["loc"][0]) if first["loc"] else "", first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            names = ".".join(str(one) for one in first["loc"])  # of fields of ours, so no text of the file
            raise UserError(f"{card} lacks {names}: it must be the card that taskct wrote") from None
        where = f"{key}: " if key else ""
        raise UserError(
            f"{card} is broken ({where}{wrong[0].lower()}{wrong[1:]}): it must be the card that taskct wrote"
        ) from None
    return content
