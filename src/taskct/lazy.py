"""Public names of a package, imported when they are first asked for: a room costs what is used of it."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]], *, rooms: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's `__init__` needs to offer names that it does not import yet.

    Parameters
    ----------
    package
        Its `__name__`.
    names
        By module, as seen from the package: the names it gives.
    rooms
        Modules and packages within it that are reached as attributes.

    Returns
    -------
    The package's `__getattr__`, `__dir__` and `__all__`.
    """
    module_of = {name: module for module, given in names.items() for name in given}

    def get(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        if name in rooms:
            return importlib.import_module(f"{package}.{name}")
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # not asked for again
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of, *rooms})

    return get, listed, sorted(module_of)
