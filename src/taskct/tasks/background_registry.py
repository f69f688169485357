"""Every kind of background, one entry each: what makes it, which settings it uses, and how a page names it.

The settings read this without loading a background, so an entry names its maker and its module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from taskct.tasks.backgrounds import Background

_BODY = ("mean_hu", "body_mm")
_ANATOMY = ("organ", "width_mm", "texture_hu", "power_exponent")
_FILES = ("path", "shift_mm", "placements")
_TISSUE = "a body of soft tissue (like liver)"


@dataclass(frozen=True)
class BackgroundKind:
    """A kind of background."""

    text: str
    """What a signal is to be found in, in words."""
    uses: tuple[str, ...]
    """Settings of `background` that it depends on; the others have no effect beside it."""
    files: Literal["", "series", "pairs", "labels"] = ""
    """What its images are read from; "" for one that is drawn."""
    module: str = ""
    """Of `taskct.tasks.backgrounds`, if it is drawn."""
    maker: str = ""
    """Class or function in it, which takes the object grid, the first case and the settings used, all by name."""
    place: str | None = None
    """Where a lesion lies, in words; None where the images decide."""
    default_organ: str | None = None
    """Where a lesion lies with `signal.site=organ`, unless `background.organ` says so."""


BACKGROUNDS: dict[str, BackgroundKind] = {
    "torso": BackgroundKind(
        "a torso phantom that differs in every trial",
        ("lump_hu", "mean_lumps", "lump_sigma_mm", "n_vessels"),
        module="torso",
        maker="Torso",
        place=_TISSUE,
    ),
    "abdomen": BackgroundKind(
        "an abdomen of ellipses that differs in every trial",
        _ANATOMY,
        module="abdomen",
        maker="Abdomen.with_power_law",
        place="the abdomen (liver)",
        default_organ="liver",
    ),
    "thorax": BackgroundKind(
        "a thorax of ellipses that differs in every trial",
        _ANATOMY,
        module="thorax",
        maker="Thorax.with_power_law",
        place="the thorax (lungs)",
        default_organ="lungs",
    ),
    "uniform": BackgroundKind("a uniform body", _BODY, module="fields", maker="Uniform", place=_TISSUE),
    "lumpy": BackgroundKind(
        "a body with a lumpy texture",
        (*_BODY, "texture_hu", "lump_sigma_mm"),
        module="fields",
        maker="lumpy_body",
        place=_TISSUE,
    ),
    "clustered-lumpy": BackgroundKind(
        "a body with a clustered lumpy texture",
        (*_BODY, "texture_hu", "cluster_unit_mm"),
        module="fields",
        maker="clustered_lumpy_body",
        place=_TISSUE,
    ),
    "power-law": BackgroundKind(
        "a body with a power-law texture",
        (*_BODY, "texture_hu", "power_exponent"),
        module="fields",
        maker="power_law_body",
        place=_TISSUE,
    ),
    "label-map": BackgroundKind(
        "slices of a label map with new HU and texture in every trial, mirrored and shifted at random",
        (*_FILES, "organ", "organs"),
        files="labels",
    ),
    "series": BackgroundKind(
        "slices of a real CT series, mirrored and shifted at random, the region at a random place in the tissue",
        (*_FILES, "organ", "organs_path"),
        files="series",
    ),
    "paired": BackgroundKind(
        "slices of real CT at two doses, mirrored and shifted at random, the region at a random place",
        (*_FILES, "organ", "organs_path"),
        files="pairs",
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
    """A background that is drawn.

    Parameters
    ----------
    kind
        Of `BACKGROUNDS`, without `files`.
    settings
        Of `background`, by name; those that the kind uses are taken.
    n_pixels, pixel_mm
        The object grid.
    first_case
        Case number of object 0, so that splits never share one.

    Raises
    ------
    UserError
        If a setting does not suit the kind.
    """
    entry = BACKGROUNDS[kind]
    values = {name: settings[name] for name in entry.uses}
    if "organ" in values and values["organ"] is None:
        values["organ"] = entry.default_organ
    make = attrgetter(entry.maker)(import_module(f"taskct.tasks.backgrounds.{entry.module}"))
    background: Background = make(n_pixels=n_pixels, pixel_mm=pixel_mm, first_case=first_case, **values)
    return background
