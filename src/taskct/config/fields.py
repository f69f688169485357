"""What settings are made of: a section, a field with its unit and limits, and the types that several sections use."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt, Interval
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from taskct.ranges import Range


def setting(default: Any, text: str, unit: str = "", **limits: Any) -> Any:  # noqa: ANN401 - a pydantic field
    """A field with its description, unit and limits (`ge`, `gt`, `le`, `lt`, `min_length`)."""
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


def ranged(default: float, allowed: Range) -> Any:  # noqa: ANN401 - a pydantic field
    """A field whose meaning, unit and limits are those of a range that is declared elsewhere."""
    return setting(default, allowed.meaning, allowed.unit, **allowed.limits())


@dataclass(frozen=True)
class OneOf:
    """The type of a setting that takes one of some names, such as those of a registry: `Annotated[str, OneOf(…)]`."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.literal_schema(list(self.names))


def within(allowed: Range) -> Interval:
    """The limits of a type, from a range that is declared elsewhere: `Annotated[float, within(…)]`."""
    return Interval(**allowed.limits())


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
Span = Annotated[tuple[float, float], AfterValidator(ordered)]
PositiveSpan = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]


class Section(BaseModel):
    """A part of the tree; unknown names are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
