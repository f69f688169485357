"""A class by its dotted path, and which part of the path is at fault when there is none."""

import importlib
from types import ModuleType


def find_object(path: str) -> object:
    """The object at a dotted path, such as `monai.networks.nets.UNet`; classes may be nested. Modules are imported.

    An ImportError says what is wrong with which part, on one line.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ImportError("it is not a path of names joined by dots, like package.Class")
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
