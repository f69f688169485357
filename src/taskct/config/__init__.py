"""Validated study settings: the tree, its listing, and the way in from YAML."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.config.effects import without_effect as without_effect
    from taskct.config.listing import dotted_settings as dotted_settings
    from taskct.config.listing import mentions as mentions
    from taskct.config.listing import range_of as range_of
    from taskct.config.listing import settings_named as settings_named
    from taskct.config.listing import unit_of as unit_of
    from taskct.config.read import make_settings as make_settings
    from taskct.config.read import parse_overrides as parse_overrides
    from taskct.config.read import to_yaml as to_yaml
    from taskct.config.read import tree_of as tree_of
    from taskct.config.tree import ProfileSettings as ProfileSettings
    from taskct.config.tree import Settings as Settings
    from taskct.config.yaml_files import preset_names as preset_names
    from taskct.config.yaml_files import read_preset as read_preset
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "effects": ["without_effect"],
            "listing": ["dotted_settings", "mentions", "range_of", "settings_named", "unit_of"],
            "read": ["make_settings", "parse_overrides", "to_yaml", "tree_of"],
            "tree": ["ProfileSettings", "Settings"],
            "yaml_files": ["preset_names", "read_preset"],
        },
    )
