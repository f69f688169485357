"""YAML as taskct reads it: from a settings file, one that comes with taskct, or the command line."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from taskct.errors import UserError


class _Loader(yaml.SafeLoader):
    """PyYAML's YAML 1.1, except that 8e5 is a number as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+|\d*\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """What a text holds; a yaml.YAMLError says that it is not YAML.

    >>> parse_yaml("[8e5, 0.25, hann]")
    [800000.0, 0.25, 'hann']
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except ValueError as error:  # such as a 13th month
        raise yaml.YAMLError(str(error)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a settings file; an empty one holds no settings.

    A `UserError` says that it is missing or no YAML mapping.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"the settings file {path} cannot be read ({error.strerror or error}): give the path of a YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"the settings file {path} is no text in UTF-8: give the path of a YAML file") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" at line {line + 1}" if line is not None else ""
        raise UserError(f"{path} is not valid YAML{where}: write `section:` with `name: value` below it") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds no settings: write `section:` with `name: value` below it")
    return tree


def preset_names() -> list[str]:
    """Names of the settings files that come with taskct."""
    folder = resources.files("taskct") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_preset(name: str) -> dict[str, Any]:
    """Read one of the settings files that come with taskct; a `UserError` says that there is none of that name."""
    if name not in preset_names():
        raise UserError(f"no preset {name!r}: choose one of {', '.join(preset_names())}")
    with resources.as_file(resources.files("taskct") / "presets" / f"{name}.yaml") as path:
        return read_yaml(path)
