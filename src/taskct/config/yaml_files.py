"""Settings files: one of the user's, or one that comes with taskct."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from taskct.errors import UserError
from taskct.reading import read_text
from taskct.yaml_text import parse_yaml, what_is_wrong


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a settings file; an empty one holds no settings.

    A `UserError` says that it is missing or no YAML mapping.
    """
    try:
        tree = parse_yaml(read_text(path, "a settings file in UTF-8", "give the path of a YAML file"))
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not valid YAML{what_is_wrong(error)}; write `section:` with `name: value` below it"
        ) from error
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
