"""Every setting by its dotted name, with its unit and range in words."""

import difflib
import itertools
from collections.abc import Iterator
from types import NoneType
from typing import Literal, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from taskct.config.fields import OneOf
from taskct.config.tree import Settings
from taskct.errors import UserError


def dotted_settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from dotted_settings(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def settings_named(name: str) -> list[str]:
    """The settings that a name stands for: one, all of a section, those whose last part it is, or one that holds it.

    A `UserError` tells the nearest if there is none.

    Examples
    --------
    >>> settings_named("scanner.n_views"), settings_named("dose_fraction"), settings_named("signal.shape")
    (['scanner.n_views'], ['scanner.dose_fraction'], ['signal.shape'])
    >>> len(settings_named("trials"))
    6
    """
    known = [key for key, _ in dotted_settings()]
    for found in (
        [key for key in known if key == name or key.startswith(f"{name}.")],
        [key for key in known if key.endswith(f".{name}")],
        [key for key in known if name.startswith(f"{key}.")],  # such as denoiser.arguments.n_layers
    ):
        if found:
            return found
    near = nearest(name)
    hint = f"did you mean {near}? " if near else ""
    raise UserError(f"no setting or group {name!r}: {hint}`taskct config` lists them all, --filter WORD searches")


def nearest(name: str) -> str | None:
    """The setting that was probably meant: by its dotted name, else by its last part alone."""
    known = [key for key, _ in dotted_settings()]
    by_end = {key.rpartition(".")[2]: key for key in reversed(known)}
    last = name.rpartition(".")[2]
    if last in by_end:  # the right name in the wrong section
        return by_end[last]
    near = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(last, by_end, n=1)
    return by_end.get(near[0], near[0]) if near else None


def mentions(name: str, field: FieldInfo, word: str) -> bool:
    """Whether a setting's name, meaning, unit or range holds a word, in capitals or not.

    Examples
    --------
    >>> [name for name, field in dotted_settings() if mentions(name, field, "kVp")]
    ['scanner.kvp']
    """
    texts = (name, str(field.description or ""), unit_of(field), range_of(field))
    return any(word.casefold() in text.casefold() for text in texts)


def unit_of(field: FieldInfo) -> str:
    """The unit of a setting, or an empty string."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def range_of(field: FieldInfo) -> str:
    """The allowed range of a setting in words, or an empty string.

    Examples
    --------
    >>> from taskct.config.tree import ScannerSettings
    >>> from taskct.config.training import TrainingSettings
    >>> range_of(ScannerSettings.model_fields["n_views"]), range_of(TrainingSettings.model_fields["lambdas"])
    ('[4, 4096], multiples of 4', 'each in [0, 1), at least 2')
    """
    options = [option for option in get_args(field.annotation) if option is not NoneType and option is not ...]
    if options and all(isinstance(option, str | int) for option in options):
        return " | ".join(map(str, options))
    if options and get_origin(options[0]) is Literal:
        return f"of {' | '.join(get_args(options[0]))}"
    inner = [getattr(option, "__metadata__", ()) for option in options]
    choices = [one for one in itertools.chain(field.metadata, *inner) if isinstance(one, OneOf)]
    if choices:
        return f"{'of ' if inner else ''}{' | '.join(choices[0].names)}"
    # The limits of a tuple's members, or of a value that may be null, stand in its annotation.
    limits = [*field.metadata, *(inner[0] if inner and all(one == inner[0] for one in inner) else ())]
    each = "each in " if get_origin(field.annotation) is tuple else ""
    low, high, rest = "", "", []
    for limit in itertools.chain(*(one if isinstance(one, GroupedMetadata) else (one,) for one in limits)):
        match limit:
            case Ge():
                low = f"[{_short(limit.ge)}"
            case Gt():
                low = f"({_short(limit.gt)}"
            case Le():
                high = f"{_short(limit.le)}]"
            case Lt():
                high = f"{_short(limit.lt)})"
            case MultipleOf():
                rest.append(f"multiples of {limit.multiple_of}")
            case MinLen() if field.annotation is not str:
                rest.append(f"at least {limit.min_length}")
            case MaxLen():
                rest.append(f"1 to {limit.max_length} characters")
    interval = [f"{each}{low or '(-∞'}, {high or '∞)'}"] if low or high else []
    return ", ".join(interval + rest)


def _short(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)
