"""What settings are made of: a section, a field with its unit and limits, and the types that several sections use."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def setting(default: Any, text: str, unit: str = "", **limits: Any) -> Any:  # noqa: ANN401 - a pydantic field
    """A field with its description, unit and limits (`ge`, `gt`, `le`, `lt`, `min_length`)."""
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


def ordered(pair: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose ends are the wrong way round."""
    if pair[0] > pair[1]:
        raise ValueError(f"the lowest value comes first, not {list(pair)}")
    return pair


def named(value: Any) -> Any:  # noqa: ANN401 - pydantic checks it afterwards
    """Let a label's number stand for its name."""
    return str(value) if isinstance(value, int) else value


def listed(value: Any) -> Any:  # noqa: ANN401 - pydantic checks it afterwards
    """Let a single name stand for a list of one."""
    return (value,) if isinstance(value, str) else value


Positive = Annotated[float, Gt(0)]
Range = Annotated[tuple[float, float], AfterValidator(ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]
NonNegative = Annotated[float, Ge(0)]
NonNegativeRange = Annotated[tuple[NonNegative, NonNegative], AfterValidator(ordered)]
Aspect = Annotated[float, Ge(0.05), Le(1)]
Exponent = Annotated[float, Ge(0), Le(20)]
Lobes = Annotated[int, Ge(2), Le(16)]
Shape = Literal["disc", "sphere", "gaussian", "nodule", "ellipsoid", "lobulated", "spiculated", "lidc"]


class Section(BaseModel):
    """A part of the tree; unknown names are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
