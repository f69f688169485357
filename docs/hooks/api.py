"""Write a page for each room of the package from its `__all__`; a name that is not there fails the build."""

import importlib
import inspect
import pkgutil
import re
from functools import cache
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import taskct

PRIVATE = {"taskct.cli", "taskct.sweep"}
"""Rooms whose names are for the package itself."""


def public_rooms() -> list[ModuleType]:
    """The package and every room below it that says what it offers."""
    paths = [taskct.__name__]
    for found in pkgutil.walk_packages(taskct.__path__, "taskct."):
        if found.ispkg and not any(found.name == one or found.name.startswith(f"{one}.") for one in PRIVATE):
            paths.append(found.name)
    rooms = [importlib.import_module(name) for name in paths]
    return [room for room in rooms if getattr(room, "__all__", ())]


ROOMS = public_rooms()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List them in the navigation."""
    entry = next(one for one in config.nav or [] if "Python API" in one)
    entry["Python API"] = ["api/index.md", *({room.__name__: place(room)} for room in ROOMS)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each room, and one that lists them."""
    for room in ROOMS:
        files.append(File.generated(config, place(room), content=page(room)))
    files.append(File.generated(config, "api/index.md", content=index()))
    return files


@cache
def names(room: ModuleType) -> list[str]:
    """What a room offers, but for the rooms within it."""
    return [name for name in room.__all__ if not inspect.ismodule(getattr(room, name))]


def place(room: ModuleType) -> str:
    """Where the page of a room stands."""
    return f"api/{room.__name__}.md"


def first_line(value: object) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")


def index() -> str:
    """All rooms with what they are for."""
    rows = [f"| [`{room.__name__}`]({room.__name__}.md) | {first_line(room)} |" for room in ROOMS]
    return "\n".join(
        [
            "# Python API",
            "",
            "What each room of the package offers. Names that are not listed here are for the package itself",
            "and may change without notice.",
            "",
            "| room | what it holds |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def page(room: ModuleType) -> str:
    """The public names of a room: those at home here with their docstrings, others with a link."""
    parts, links = [], []
    for name in names(room):
        path = target(room, name)
        if home(room, name) is room:
            parts.append(f"::: {path}\n    options:\n      heading: {name}\n      toc_label: {name}\n")
        else:
            links.append(
                f"| [`{name}`][{path}] | {first_line(getattr(room, name)) if callable(getattr(room, name)) else ''} |"
            )
    parts += [f"::: {path}\n    options:\n      show_root_full_path: false\n" for path in returned(room)]
    table = ["\n".join(["| name | what it is |", "|---|---|", *links])] if links else []
    return "\n\n".join([f"# {room.__name__}", as_markdown(inspect.getdoc(room) or ""), *table, *parts])


def as_markdown(docstring: str) -> str:
    """A room's docstring with its headings, its code and its examples in Markdown's form."""
    text = re.sub(r"^(\w+)\n-{3,}$", r"**\1**", docstring, flags=re.MULTILINE)
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    return re.sub(r"(?:^>>> .*(?:\n(?!\n).+)*)", lambda found: f"```pycon\n{found[0]}\n```", text, flags=re.MULTILINE)


def home(room: ModuleType, name: str) -> ModuleType:
    """The room on whose page a name is explained: of those that offer it, the one next to its definition."""
    path = target(room, name)
    offering = [one for one in ROOMS if any(target(one, other) == path for other in names(one))]
    near = [one for one in offering if path.startswith(f"{one.__name__}.")]
    return max(near, key=lambda one: len(one.__name__)) if near else offering[-1]


def returned(room: ModuleType) -> list[str]:
    """Classes that no room offers by name, but that functions at home here return, or methods of such classes."""
    offered = {target(one, name) for one in ROOMS for name in names(one)}
    functions = [getattr(room, name) for name in names(room) if home(room, name) is room]
    found: dict[str, type] = {}
    waiting = [(one, None) for one in functions if inspect.isfunction(one)]
    while waiting:
        function, module = waiting.pop(0)
        kind = function.__annotations__.get("return")
        kind = function.__globals__.get(kind) if isinstance(kind, str) else kind
        if (
            not inspect.isclass(kind)
            or not kind.__module__.startswith("taskct.")
            or module not in (None, kind.__module__)
        ):
            continue
        path = f"{kind.__module__}.{kind.__qualname__}"
        if path not in offered | found.keys() and not kind.__name__.startswith("_"):
            found[path] = kind
            members = [getattr(one, "fget", None) or getattr(one, "func", one) for one in vars(kind).values()]
            waiting += [(one, kind.__module__) for one in members if inspect.isfunction(one)]
    return list(found)


@cache
def target(room: ModuleType, name: str) -> str:
    """The path by which a name is found in the source: where it is defined, else in the room that offers it."""
    value = getattr(room, name)
    if inspect.ismodule(value):
        return value.__name__
    if inspect.isfunction(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    others = (one for one in reversed(ROOMS) if name in names(one) and getattr(one, name) is value)
    return f"{next(others, room).__name__}.{name}"
