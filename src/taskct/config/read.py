"""From YAML files, presets and `name=value` pairs to validated settings, and back."""

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from taskct.config.listing import dotted_settings, nearest, range_of, unit_of
from taskct.config.tree import Settings
from taskct.errors import UserError
from taskct.scanner.presets import SCANNERS
from taskct.tasks.lesions import LESIONS
from taskct.yaml_text import parse_yaml, what_is_wrong

RENAMED = {
    "signal.margin_mm": "signal.blur_mm",
    "absent_signal.margin_mm": "absent_signal.blur_mm",
    "scanner.model": "scanner.preset",
}
"""Former names of settings, which a file of an earlier version may hold."""


_QUOTED = reprlib.Repr()
_QUOTED.maxlevel, _QUOTED.maxstring, _QUOTED.maxother = 3, 120, 120
_QUOTED.maxlist = _QUOTED.maxtuple = _QUOTED.maxdict = 12


def with_present_names(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The tree with its former names as they are now, and which these were."""
    renamed, former = dict(tree), []
    for old, new in RENAMED.items():
        (section, name), present = old.split("."), new.rsplit(".", 1)[1]
        values = renamed.get(section)
        if isinstance(values, Mapping) and name in values:
            renamed[section] = {present if key == name else key: value for key, value in values.items()}
            former.append(old)
    return renamed, former


def _brief(value: object) -> str:
    """A value as a message quotes it: its beginning, where it is long."""
    try:
        return _QUOTED.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "a number too long to be written"


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "tuple_type":
        first["msg"] = "Give a list in brackets, as [lowest, highest]"
    fields = dict(dotted_settings())
    name = next((key for key in fields if where == key or where.startswith(key + ".")), None)
    message = first["msg"].removeprefix("Value error, ")
    if name is None:  # a section as a whole: the message names its settings
        return message
    allowed, unit = range_of(fields[name]), unit_of(fields[name])
    hint = f" (allowed: {allowed} {unit}".rstrip() + ")" if allowed else f" (in {unit})" if unit else ""
    member = "".join(f"[{part}]" for part in where[len(name) + 1 :].split(".") if part)
    wrong = f"{name}{member} is {_brief(first['input'])}: {message[0].lower()}{message[1:]}"
    return f"{wrong}{hint}; `taskct config` explains it"


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `section.name=value` pairs into a nested mapping; values are read as YAML, and the last one counts.

    A `UserError` says that a pair has no `=` or its value is not YAML. `training=null` is `training.method=none`.

    Examples
    --------
    >>> parse_overrides(["scanner.dose_fraction=0.5", "training.lambdas=[0, 0.9]"])
    {'scanner': {'dose_fraction': 0.5}, 'training': {'lambdas': [0, 0.9]}}
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        path = name.strip().split(".")
        if not equals or not all(path):
            raise UserError(f"--set {_brief(pair)}: write section.name=value, for example scanner.dose_fraction=0.25")
        try:
            value = parse_yaml(text)
        except yaml.YAMLError as error:
            why = what_is_wrong(error).partition(": ")[2]
            raise UserError(
                f"--set {_brief(pair)}: the value is not YAML{f' ({why})' if why else ''}; quote it, or write lists as "
                "[0, 0.5]"
            ) from error
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                raise UserError(f"--set {_brief(pair)}: {part} already has a value of its own")
        branch[path[-1]] = _of_section(path[0]) if value is None and len(path) == 1 else value
    return tree


def _of_section(name: str) -> dict[str, Any] | None:
    """What null stands for as the value of a whole section: no training; a `UserError` for other sections.

    In a file it may be a section whose settings are all commented out, and is left to the defaults.
    """
    if name == "training":
        return {"method": "none"}
    field = Settings.model_fields.get(name)
    if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        raise UserError(
            f"--set {name}=null: {name} is a section, which cannot be left out; `taskct config` explains it"
        )
    return None


def tree_of(name: str, value: object) -> dict[str, Any]:
    """A tree that holds one setting, given by its dotted name.

    Examples
    --------
    >>> tree_of("scanner.dose_fraction", 0.5)
    {'scanner': {'dose_fraction': 0.5}}
    """
    tree: Any = value
    for part in reversed(name.split(".")):
        tree = {part: tree}
    return dict(tree)


def named_networks(tree: Mapping[str, Any]) -> list[str]:
    """Import paths of networks that a tree of settings names, in `denoiser.network` or in the grid.

    Examples
    --------
    >>> named_networks({"denoiser": {"network": "my.Net"}, "grid": {"denoiser.network": ["cnn", "my.Other"]}})
    ['my.Net', 'my.Other']
    """
    denoiser, grid, found = tree.get("denoiser"), tree.get("grid"), list[Any]()
    if isinstance(denoiser, Mapping):
        found.append(denoiser.get("network"))
    if isinstance(grid, Mapping) and isinstance(values := grid.get("denoiser.network"), list | tuple):
        found += values
    return [one for one in found if isinstance(one, str) and "." in one]


def _check_names(tree: Mapping[str, Any], model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The tree without its empty sections, once every name is known."""
    checked: dict[str, Any] = {}
    for name, value in tree.items():
        field = model.model_fields.get(str(name))
        if field is None:
            unknown = f"{prefix}{name}"
            while isinstance(value, Mapping) and value:  # a section that is none: its first setting says more
                last, value = next(iter(value.items()))
                unknown += f".{last}"
            if f"{prefix}{name}" in RENAMED:
                raise UserError(f"{prefix}{name} is now called {RENAMED[f'{prefix}{name}']}: give its value that name")
            near = nearest(unknown)
            hint = f"did you mean {near}? `taskct config` lists them all" if near else "`taskct config` lists them all"
            raise UserError(f"unknown setting {unknown}: {hint}")
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            checked[name] = value
        elif isinstance(value, Mapping):
            checked[name] = _check_names(value, field.annotation, f"{prefix}{name}.")
        elif value is not None:
            raise UserError(f"{prefix}{name} is a section with settings of its own, not {_brief(value)}")
    return checked


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    if "network" in over and over["network"] != merged.get("network"):
        merged.pop("arguments", None)  # they were another network's
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _expanded(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree with what its lesion preset and its scanner preset stand for; what it says itself beside them counts.

    Done tree by tree, so that a preset on the command line wins over a file, and a file that names one over a default.
    """
    known = {
        ("signal", "preset"): {name: _renamed(lesion.ranges, "shapes", "shape") for name, lesion in LESIONS.items()},
        ("scanner", "preset"): {
            name: _renamed(scanner.geometry, "views_per_turn", "n_views") for name, scanner in SCANNERS.items()
        },
    }
    for (section, name), values in known.items():
        chosen = tree.get(section, {}).get(name)
        if chosen is None:
            continue
        if not isinstance(chosen, str) or chosen not in values:
            raise UserError(f"no {section}.{name} {_brief(chosen)}: choose one of {', '.join(values)}")
        tree = {**tree, section: {**values[chosen], **tree[section]}}
    return tree


def _renamed(values: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {(new if name == old else name): value for name, value in values.items()}


def make_settings(*trees: Mapping[str, Any]) -> Settings:
    """Validate settings; later trees override earlier ones.

    The keyword arguments of a network are merged too, unless the later tree names another network. A lesion preset or a
    scanner preset sets what its own tree leaves open, and so wins over earlier trees. A `UserError` is one line that
    names the setting, what is wrong and the allowed range with its unit.

    Examples
    --------
    >>> make_settings({"scanner": {"n_views": 360}}, {"scanner": {"dose_fraction": 0.5}}).scanner.n_views
    360
    """
    merged: dict[str, Any] = {}
    for tree in trees:
        merged = _merge(merged, _expanded(_check_names(tree, Settings)))
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise UserError(_one_line(error)) from None


def to_yaml(settings: Settings) -> str:
    """The resolved settings, defaults included, as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
