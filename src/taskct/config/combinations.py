"""Values that some settings are to have in turn, and every combination of them: a study for each."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml

from taskct.config.listing import dotted_settings
from taskct.errors import UserError
from taskct.names import file_name, setting_text
from taskct.yaml_text import parse_yaml, what_is_wrong

EXAMPLE = "--each scanner.dose_fraction=0.1,0.25,0.5, or --each 'signal.contrast_hu=[7,7],[14,14]' for ranges"


@dataclass(frozen=True)
class Combination:
    """One value of each of some settings."""

    name: str
    """As a folder is called: `dose_fraction=0.1`; several joined by commas."""
    overrides: tuple[str, ...]
    """`section.name=value`, as `parse_overrides` reads them."""


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """A setting and the values that it is to have, separated by commas; brackets about all of them may be left out.

    A `UserError` says that there are none, that they are not YAML, or that two are alike.

    Examples
    --------
    >>> parse_axis("scanner.dose_fraction=0.1,0.5")
    ('scanner.dose_fraction', [0.1, 0.5])
    >>> parse_axis("signal.contrast_hu=[7, 7],[10, 14]") == parse_axis("signal.contrast_hu=[[7, 7], [10, 14]]")
    True
    """
    name, equals, listed = text.partition("=")
    name = name.strip()
    if not equals or not all(name.split(".")):
        raise UserError(f"--each {text}: write section.name=value,value, such as {EXAMPLE}")
    try:
        values = parse_yaml(f"[{listed}]")
    except yaml.YAMLError as error:
        why = what_is_wrong(error).partition(": ")[2]
        raise UserError(
            f"--each {text}: the values are not YAML{f' ({why})' if why else ''}; write {EXAMPLE}"
        ) from error
    if isinstance(values, list) and len(values) == 1 and _levels(values[0]) > _levels_of(name):
        values = values[0]  # the brackets about all were given
    if not isinstance(values, list) or not values:
        raise UserError(f"--each {text}: give values, such as {EXAMPLE}")
    for number, value in enumerate(values):
        if isinstance(value, Mapping):
            raise UserError(f"--each {text}: give the values of one setting, not a section; such as {EXAMPLE}")
        if value in values[:number]:
            raise UserError(f"--each {text}: {_value_text(value)} stands there twice")
    return name, values


def combinations_of(texts: Iterable[str]) -> list[Combination]:
    """Every combination of the values of some settings, the last setting changing fastest.

    Parameters
    ----------
    texts
        One for each setting, as `parse_axis` takes them.

    Returns
    -------
    The combinations. Their names have the last part of each setting's name, or the whole where two end alike; two equal
    ends of a range are one value.

    Raises
    ------
    UserError
        If a text cannot be read, a setting has two of them, or two combinations have one name.

    Examples
    --------
    >>> for one in combinations_of(["scanner.dose_fraction=0.1,1", "signal.contrast_hu=[7,7],[10,14]"]):
    ...     print(one.name, one.overrides)
    dose_fraction=0.1,contrast_hu=7 ('scanner.dose_fraction=0.1', 'signal.contrast_hu=[7, 7]')
    dose_fraction=0.1,contrast_hu=10_14 ('scanner.dose_fraction=0.1', 'signal.contrast_hu=[10, 14]')
    dose_fraction=1,contrast_hu=7 ('scanner.dose_fraction=1', 'signal.contrast_hu=[7, 7]')
    dose_fraction=1,contrast_hu=10_14 ('scanner.dose_fraction=1', 'signal.contrast_hu=[10, 14]')
    """
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, values = parse_axis(text)
        if name in axes:
            raise UserError(f"--each {name} is given twice: give all its values at once")
        axes[name] = values
    ends = [name.rpartition(".")[2] for name in axes]
    called = [end if ends.count(end) == 1 else name for name, end in zip(axes, ends, strict=True)]
    found: dict[str, Combination] = {}
    for point in itertools.product(*axes.values()):
        name = file_name(",".join(f"{key}={_value_text(value)}" for key, value in zip(called, point, strict=True)))
        overrides = tuple(f"{key}={json.dumps(value)}" for key, value in zip(axes, point, strict=True))
        if (other := found.setdefault(name.casefold(), Combination(name, overrides))).overrides != overrides:
            both = f"{', '.join(other.overrides)} and {', '.join(overrides)}"
            raise UserError(
                f"--each: {both} would share the folder {name}: give values that differ in letters or digits"
            )
    return list(found.values())


def _levels(value: object) -> int:
    """Levels of lists within one another."""
    return 1 + max(map(_levels, value), default=0) if isinstance(value, list) else 0


def _levels_of(name: str) -> int:
    """Levels of lists that a value of a setting has: 1 of a range; 0 of a setting that there is not."""
    field = dict(dotted_settings()).get(name)
    return 0 if field is None else _levels_in(field.annotation)


def _levels_in(annotation: Any) -> int:  # noqa: ANN401 - a type of any form
    inner = [_levels_in(one) for one in get_args(annotation) if one is not ...]
    origin = get_origin(annotation)
    if origin is tuple:
        return 1 + max(inner, default=0)
    return max(inner, default=0) if origin in (Annotated, Union, UnionType) else 0


def _value_text(value: object) -> str:
    """A value as the name of a folder has it: short, and without brackets."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case float():
            return setting_text(value)
        case [first, second] if first == second:
            return _value_text(first)
        case list():
            return "_".join(_value_text(one) for one in value)
    return str(value)
