"""A class by its dotted path: imported at the user's word alone, and which part is at fault when there is none.

Importing a module runs it. A card or a run folder may come from anybody, so the paths in them are not enough.
"""

import importlib
from types import ModuleType

from taskct.errors import UserError
from taskct.literal import shown

_trusted: set[str] = set()
"""Import paths that the user has named in this process. The word is for the code, whichever file names it."""


def trust_network(*paths: str) -> None:
    """Take the user's word for networks by their import paths; what no user has named is never imported.

    Parameters
    ----------
    *paths
        Such as `monai.networks.nets.BasicUNet`. It holds for this process, and for the stages that it gives to others.

    Raises
    ------
    UserError
        If one is no path of names joined by dots.
    """
    for path in paths:
        if "." not in path or not all(part.isidentifier() for part in path.split(".")):
            raise UserError(f"{shown(path)!r} is no import path: trust a network by its whole path, like package.Class")
    _trusted.update(paths)


def trusted_networks() -> tuple[str, ...]:
    """The import paths that the user has named in this process, for those that work for it."""
    return tuple(sorted(_trusted))


def find_object(path: str) -> object:
    """The object at a dotted path, such as `monai.networks.nets.UNet`; classes may be nested. Modules are imported.

    An ImportError says what is wrong with which part, on one line. A `UserError` if the user has not named the path,
    see `trust_network`; then nothing is imported.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ImportError("it is not a path of names joined by dots, like package.Class")
    if path not in _trusted:
        raise UserError(
            f"the network {path} is code from outside taskct, and importing it runs it: look at what it is, and if you "
            f"trust it, give --trust-network {path} (in Python, taskct.denoisers.trust_network)"
        )
    found: object = None
    for index, part in enumerate(parts):
        whole, before = ".".join(parts[: index + 1]), ".".join(parts[:index])
        if found is not None and not isinstance(found, ModuleType) and not hasattr(found, part):
            raise ImportError(f"{before} is there, but has nothing called {part}")
        try:
            # An attribute comes first, as in `from package import name`; a submodule may not be imported yet.
            if found is not None and hasattr(found, part):
                found = getattr(found, part)
            else:
                found = importlib.import_module(whole)
        except Exception as error:  # importing runs code that may raise anything
            if not (isinstance(error, ModuleNotFoundError) and error.name == whole):
                message = " ".join(str(error).split())
                raise ImportError(f"importing {whole} raised {type(error).__name__}: {message}") from error
            if index == 0:
                reason = f"there is no package {whole}: install it, or put its folder on PYTHONPATH"
            else:
                reason = f"{before} is there, but has nothing called {part}"
            raise ImportError(reason) from error
    return found
