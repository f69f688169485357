"""Options in groups: a command takes a dataclass, and the command line its fields."""

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every parameter that is a dataclass taken apart into its fields, each an option of its own.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Eye:
    ...     distance_mm: float = 500.0
    >>> @with_groups
    ... def look(eye: Eye) -> None:
    ...     print(eye)
    >>> look(distance_mm=400.0)
    Eye(distance_mm=400.0)
    >>> list(inspect.signature(look).parameters)
    ['distance_mm']
    """
    hints = typing.get_type_hints(command, include_extras=True)
    groups = {name: hints[name] for name in inspect.signature(command).parameters if is_dataclass(hints[name])}
    if set(groups) != set(inspect.signature(command).parameters):
        raise TypeError(f"{command.__name__} has a parameter that is not a group of options")
    options = {group: [field for field in fields(kind) if field.init] for group, kind in groups.items()}
    types = {group: typing.get_type_hints(kind, include_extras=True) for group, kind in groups.items()}

    @functools.wraps(command)
    def taken_apart(**given: Any) -> None:  # noqa: ANN401 - each option has its own type
        made = {
            group: kind(**{field.name: given[field.name] for field in options[group] if field.name in given})
            for group, kind in groups.items()
        }
        command(**made)

    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=types[group][field.name],
        )
        for group in groups
        for field in options[group]
    ]
    taken_apart.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taken_apart.__annotations__ = {one.name: one.annotation for one in parameters}
    del taken_apart.__wrapped__  # else its signature is looked at
    return taken_apart
