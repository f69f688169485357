"""Validated study settings: the tree, its listing, and the way in from YAML."""

from taskct.config.effects import without_effect
from taskct.config.listing import dotted_settings, mentions, range_of, settings_named, unit_of
from taskct.config.read import make_settings, parse_overrides, preset_names, read_preset, to_yaml, tree_of
from taskct.config.tree import ProfileSettings, Settings

__all__ = [
    "ProfileSettings",
    "Settings",
    "dotted_settings",
    "make_settings",
    "mentions",
    "parse_overrides",
    "preset_names",
    "range_of",
    "read_preset",
    "settings_named",
    "to_yaml",
    "tree_of",
    "unit_of",
    "without_effect",
]
