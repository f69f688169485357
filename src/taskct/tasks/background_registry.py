"""Every kind of background, one entry each: what makes it, which settings it uses, and how a page names it.

The settings read this without loading a background, so an entry names its maker and its module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from taskct.tasks.backgrounds import Background

_TISSUE = "a body of soft tissue (like liver)"


@dataclass(frozen=True)
class BackgroundKind:
    """A kind of background."""

    text: str  # what a signal is to be found in, in words
    uses: tuple[str, ...]  # settings of `background` that it depends on; the others have no effect beside it
    files: Literal["", "series", "pairs", "labels"] = ""  # what its images are read from; "" for one that is drawn
    maker: tuple[str, str] = ("", "")
    """Module of `taskct.tasks.backgrounds`, if it is drawn, and class in it: it takes the object grid, the first case
    and the settings used, all by name, but the `texture` in place of the settings it is made of."""
    texture: str = ""  # function of `taskct.tasks.backgrounds.fields` that makes it
    of_texture: tuple[str, ...] = ()  # settings used that it takes
    place: str | None = None  # where a lesion lies, in words; None where the images decide
    default_organ: str | None = None  # where a lesion lies with `signal.site=organ`, unless `background.organ` says so


def _body(text: str, texture: str = "", *of_texture: str) -> BackgroundKind:
    uses, maker = ("mean_hu", "body_mm", *of_texture), ("fields", "Textured" if texture else "Uniform")
    return BackgroundKind(text, uses, maker=maker, texture=texture, of_texture=of_texture, place=_TISSUE)


def _ellipses(text: str, module: str, maker: str, organ: str) -> BackgroundKind:
    of_texture = ("texture_hu", "power_exponent")
    return BackgroundKind(
        f"{text} of ellipses that differs in every trial",
        ("organ", "width_mm", *of_texture),
        maker=(module, maker),
        texture="power_law_texture",
        of_texture=of_texture,
        place=f"the {module} ({organ})",
        default_organ=organ,
    )


def _read(files: Literal["series", "pairs", "labels"], labels: str, text: str) -> BackgroundKind:
    return BackgroundKind(text, ("path", "shift_mm", "placements", "organ", labels), files)


BACKGROUNDS: dict[str, BackgroundKind] = {
    "torso": BackgroundKind(
        "a torso phantom that differs in every trial",
        ("lump_hu", "mean_lumps", "lump_sigma_mm", "n_vessels"),
        maker=("torso", "Torso"),
        place=_TISSUE,
    ),
    "abdomen": _ellipses("an abdomen", "abdomen", "Abdomen", "liver"),
    "thorax": _ellipses("a thorax", "thorax", "Thorax", "lungs"),
    "uniform": _body("a uniform body"),
    "phantom": BackgroundKind(
        "the twin of a low-contrast phantom",
        ("layout", "rods"),
        maker=("phantom", "Phantom"),
        place="the phantom's cylinder",
    ),
    "lumpy": _body("a body with a lumpy texture", "lumpy_texture", "texture_hu", "lump_sigma_mm"),
    "clustered-lumpy": _body(
        "a body with a clustered lumpy texture", "clustered_lumpy_texture", "texture_hu", "cluster_unit_mm"
    ),
    "power-law": _body("a body with a power-law texture", "power_law_texture", "texture_hu", "power_exponent"),
    "label-map": _read(
        "labels",
        "organs",
        "slices of a label map with new HU and texture in every trial, mirrored and shifted at random",
    ),
    "series": _read(
        "series",
        "organs_path",
        "slices of a real CT series, mirrored and shifted at random, the region at a random place in the tissue",
    ),
    "paired": _read(
        "pairs",
        "organs_path",
        "slices of real CT at two doses, mirrored and shifted at random, the region at a random place",
    ),
}
"""By the name that `background.kind` takes."""


def kinds_using(name: str) -> tuple[str, ...]:
    """Kinds that a setting of `background` has an effect on.

    >>> kinds_using("width_mm")
    ('abdomen', 'thorax')
    """
    return tuple(kind for kind, entry in BACKGROUNDS.items() if name in entry.uses)


def make_background(
    kind: str, settings: Mapping[str, Any], *, n_pixels: int, pixel_mm: float, first_case: int
) -> "Background":
    """A background that is drawn, from the settings of `background` by name; a `UserError` if one does not suit it.

    `first_case` is the case number of object 0, so that splits never share one.
    """
    entry = BACKGROUNDS[kind]
    values = {name: settings[name] for name in entry.uses}
    if "organ" in values and values["organ"] is None:
        values["organ"] = entry.default_organ
    if entry.texture:
        make_texture = getattr(import_module("taskct.tasks.backgrounds.fields"), entry.texture)
        values["texture"] = make_texture(**{name: values.pop(name) for name in entry.of_texture})
    module, maker = entry.maker
    make = getattr(import_module(f"taskct.tasks.backgrounds.{module}"), maker)
    background: Background = make(n_pixels=n_pixels, pixel_mm=pixel_mm, first_case=first_case, **values)
    return background
