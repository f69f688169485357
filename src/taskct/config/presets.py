"""The settings files that come with taskct."""

from importlib import resources
from typing import Any

from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError


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
