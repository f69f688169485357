"""Channels from the command line: which setting is for which observer, and its value from text."""

from collections.abc import Sequence

from taskct.errors import UserError

_NAMES = {
    "cho_lg": ("n_channels", "width_px", "width_mm"),
    "cho_gabor": ("band_edges", "n_orientations", "phases"),
    "cho_sdog": ("n_channels", "sigma0", "alpha", "q"),
    "cho_ddog": ("n_channels", "sigma0", "alpha", "q"),
    "cho_pca": ("n_channels",),
    "cho_pls": ("n_channels",),
}
_LISTS = ("band_edges", "phases")
_WHOLE = ("n_channels", "n_orientations")


def channel_settings(
    observers: Sequence[str], n_channels: int | None, settings: Sequence[str], pixel_mm: float | None
) -> dict[str, dict[str, object]]:
    """Settings of the channels, by the name of the observer as it was given.

    A `UserError` says which setting is no one's, or for none of the observers, or what its value must be.

    Examples
    --------
    >>> channel_settings(["cho-lg", "ho"], 6, ["width_mm=5"], 0.5)
    {'cho-lg': {'n_channels': 6, 'width_px': 10.0}}
    """
    given: dict[str, object] = {} if n_channels is None else {"n_channels": n_channels}
    for text in settings:
        name, _, value = text.partition("=")
        known = {setting: None for of_one in _NAMES.values() for setting in of_one}
        if name.strip() not in known or not value.strip():
            raise UserError(f"--channel {text}: give NAME=VALUE, with a name of {', '.join(known)}")
        if name.strip() in given:
            raise UserError(f"--channel {text}: {name.strip()} is given twice")
        given[name.strip()] = _value(name.strip(), value)
    if "width_px" in given and "width_mm" in given:
        raise UserError("--channel gives both width_px and width_mm: give one of them")
    wanted: dict[str, dict[str, object]] = {}
    for observer in observers:
        names = _NAMES.get(observer.replace("-", "_"), ())
        own = {name: value for name, value in given.items() if name in names}
        if own:
            wanted[observer] = _in_pixels(own, pixel_mm)
    used = {name for observer in wanted for name in _NAMES[observer.replace("-", "_")]}
    if idle := [name for name in given if name not in used]:
        takers = [observer.replace("_", "-") for observer, names in _NAMES.items() if idle[0] in names]
        option = "--channels" if idle[0] == "n_channels" else f"--channel {idle[0]}"
        raise UserError(f"{option} is for {', '.join(takers)}, and none of these is observed: leave it out, or add one")
    return wanted


def _value(name: str, text: str) -> object:
    try:
        if name in _LISTS:
            return tuple(_number(part) for part in text.split(","))
        return int(text) if name in _WHOLE else _number(text)
    except (ValueError, ZeroDivisionError):
        kind = "numbers with commas between, such as 1/64,1/32,1/16" if name in _LISTS else "a number"
        kind = "a whole number" if name in _WHOLE else kind
        raise UserError(f"--channel {name}={text.strip()}: give {kind}") from None


def _number(text: str) -> float:
    above, slash, below = text.partition("/")
    return float(above) / float(below) if slash else float(text)


def _in_pixels(settings: dict[str, object], pixel_mm: float | None) -> dict[str, object]:
    width_mm = settings.pop("width_mm", None)
    if width_mm is None:
        return settings
    if pixel_mm is None:
        raise UserError("--channel width_mm needs the pixel size, which the images do not tell: give --pixel-mm")
    assert isinstance(width_mm, float)
    return settings | {"width_px": width_mm / pixel_mm}
