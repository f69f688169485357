"""A phantom's layout from a YAML file of the user's."""

from pathlib import Path
from typing import Any

import yaml

from taskct.errors import UserError
from taskct.reading import read_text
from taskct.tasks.layouts import LAYOUTS, LONGEST_NAME, MIRRORED, ROD_RANGES, PhantomLayout, Rod
from taskct.yaml_text import parse_yaml, what_is_wrong

_EXAMPLE = "write diameter_mm: 200, rods: [{diameter_mm: 10, contrast_hu: 3, radius_mm: 40, angle_deg: 45}]"
_KEYS = ("name", "diameter_mm", "body_hu", "rods", "source", "mirrored")


def find_layout(name: str | Path) -> PhantomLayout:
    """Find a layout by its name, one of `LAYOUTS`, or read it from a YAML file.

    A name that ends in `-mirrored` is the phantom seen from its other end. A file holds `diameter_mm` and a list of
    `rods`, each with `diameter_mm`, `contrast_hu`, `radius_mm` and `angle_deg`; `name`s, `body_hu`, `source` and
    `mirrored: true` may be left out. See `PhantomLayout` for what they mean, and `ROD_RANGES` and `LAYOUT_RANGES` for
    their ranges.

    Raises
    ------
    UserError
        If there is neither, or the file holds something else: one line with what is wrong and where.

    Examples
    --------
    >>> [rod.name for rod in find_layout("cct189").rods]
    ['3 mm, 14 HU', '5 mm, 7 HU', '7 mm, 5 HU', '10 mm, 3 HU']
    """
    own = str(name).removesuffix(MIRRORED)
    if own in LAYOUTS:
        return LAYOUTS[own].mirrored() if str(name) != own else LAYOUTS[own]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(
            f"no phantom layout {str(name)!r}: choose one of {', '.join(LAYOUTS)}, or give a YAML file (.yaml) with "
            "diameter_mm and rods"
        )
    try:
        tree = parse_yaml(read_text(path, "a phantom's layout in UTF-8", "give the path of a YAML file"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML{what_is_wrong(error)}; {_EXAMPLE}") from error
    try:
        return _layout(tree, path.stem)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _layout(tree: Any, stem: str) -> PhantomLayout:  # noqa: ANN401 - whatever a file holds
    if not isinstance(tree, dict):
        raise UserError(f"it holds no layout; {_EXAMPLE}")
    _check_keys(tree, _KEYS, "a layout")
    rods = tree.get("rods")
    if "diameter_mm" not in tree or not isinstance(rods, list):
        raise UserError(f"diameter_mm or the list of rods is missing; {_EXAMPLE}")
    if not isinstance(mirrored := tree.get("mirrored", False), bool):
        raise UserError(f"mirrored is {str(mirrored)[:40]!r}; give true or false")
    layout = PhantomLayout(
        name=_text(tree, "name", stem[:LONGEST_NAME]),
        diameter_mm=_number(tree, "diameter_mm", "the layout"),
        rods=tuple(_rod(rod, i) for i, rod in enumerate(rods, start=1)),
        body_hu=_number(tree, "body_hu", "the layout") if "body_hu" in tree else 0.0,
        source=_text(tree, "source", ""),
    )
    return layout.mirrored() if mirrored else layout


def _rod(tree: Any, number: int) -> Rod:  # noqa: ANN401 - whatever a file holds
    if not isinstance(tree, dict):
        raise UserError(f"rod {number} is no mapping; {_EXAMPLE}")
    _check_keys(tree, ("name", *ROD_RANGES), f"rod {number}")
    if missing := [key for key in ROD_RANGES if key not in tree]:
        raise UserError(f"rod {number} lacks {', '.join(missing)}; {_EXAMPLE}")
    values = {key: _number(tree, key, f"rod {number}") for key in ROD_RANGES}
    usual = f"{values['diameter_mm']:g} mm, {values['contrast_hu']:g} HU"
    return Rod(_text(tree, "name", usual), **values)


def _check_keys(tree: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    if unknown := [key for key in tree if key not in known]:
        raise UserError(f"{what} has no {unknown[0]!r}: it has {', '.join(known)}")


def _number(tree: dict[str, Any], key: str, what: str) -> float:
    value = tree[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key} of {what} is {str(value)[:40]!r}; give a number")
    try:
        return float(value)
    except OverflowError as error:
        raise UserError(f"{key} of {what} is too large; give a number that is possible") from error


def _text(tree: dict[str, Any], key: str, usual: str) -> str:
    value = tree.get(key, usual)
    if not isinstance(value, str) or (key == "name" and not 1 <= len(value) <= LONGEST_NAME):
        raise UserError(f"{key} is {str(value)[:40]!r}; give text of 1 to {LONGEST_NAME} characters")
    return value
