"""The folder in which taskct keeps what is dear to make and cheap to keep: system matrices, compiled networks.

It is `$XDG_CACHE_HOME/taskct`, by default `~/.cache/taskct`. The environment variable `TASKCT_CACHE` names another one,
or switches the cache off with "off".
"""

import os
from pathlib import Path


def cache_folder(kind: str) -> Path | None:
    """Give the folder of one kind of thing, or None if the cache is switched off or there is no home to keep it in."""
    setting = os.environ.get("TASKCT_CACHE", "")
    if setting.lower() == "off":
        return None
    if setting:
        return Path(setting) / kind
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "taskct" / kind
    except RuntimeError:
        return None
