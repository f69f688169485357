"""Pictures of harm and physics: what arms paint or wipe out on average, noise spectra, what is left of an edge."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image

from taskct.literal import figure_text
from taskct.names import LOW_DOSE, MSE
from taskct.report.families import BLACK, BLUE, GREY, ORANGE, PINK, SKY, quoted_arms
from taskct.report.figures import new_figure, style
from taskct.report.images import Grey, png_uri
from taskct.report.run import Floats, HarmMaps, PhysicsCurves, Run

_Line = tuple[str, str | tuple[int, tuple[int, int]]]  # a colour and a line of matplotlib
_Look = tuple[str, object, str]  # and the label
_LOW_DOSE: _Line = (GREY, (0, (5, 3)))
_LOOKS: tuple[_Line, ...] = ((BLACK, (0, (1, 1))), (BLUE, "-"), (ORANGE, "-"), (PINK, "-."), (SKY, "--"))


@dataclass(frozen=True)
class Maps:
    """Maps of some arms on one scale of colours."""

    images: list[Grey]
    limit_hu: float
    """What the strongest red (+) and blue (−) stand for, HU."""


def harm_arms(run: Run, maps: HarmMaps) -> list[str]:
    """The denoised arms whose harm is drawn: MSE, the control and those that text recommends."""
    return _drawn(run, maps.region_map)


def physics_arms(run: Run, curves: PhysicsCurves) -> list[str]:
    """The same of the physics."""
    return _drawn(run, curves.noise_by_position)


def _drawn(run: Run, known: Container[str]) -> list[str]:
    names = dict.fromkeys([MSE, run.tradeoff.control, *quoted_arms(run)])
    return [name for name in names if name in known and name != LOW_DOSE]


def region_maps(run: Run, maps: HarmMaps) -> Maps:
    """Mean of denoised − reference over the region, on trials without a signal."""
    return _maps(run, maps, maps.region_map)


def site_maps(run: Run, maps: HarmMaps) -> Maps:
    """The same about the site where a signal would have been."""
    return _maps(run, maps, maps.site_map)


def _maps(run: Run, maps: HarmMaps, of_kind: dict[str, Floats]) -> Maps:
    shown = {name: of_kind[name] for name in harm_arms(run, maps) if name in of_kind}
    limit = max((float(np.nanmax(np.abs(values))) for values in shown.values()), default=0.0) or 1.0
    return Maps([_coloured(run.label(name), values, limit) for name, values in shown.items()], limit)


def _coloured(label: str, values: Floats, limit: float) -> Grey:
    """A map as a PNG: red above zero, blue below, white at it."""
    colours = colormaps["RdBu_r"](0.5 + 0.5 * np.nan_to_num(values) / limit, bytes=True)
    return Grey(label, png_uri(Image.fromarray(colours[..., :3])), *values.shape[::-1])


def _side_by_side() -> tuple[Figure, Axes, Axes]:
    """A figure of two panels, with room for a legend above them."""
    figure = new_figure(8.6, 2.9, fitted=False)
    figure.subplots_adjust(left=0.09, right=0.99, bottom=0.17, top=0.86, wspace=0.24)
    left, right = figure.subplots(1, 2)
    return figure, left, right


def _looks(run: Run, arms: Sequence[str]) -> dict[str, _Look]:
    """Colour, line and label of the low-dose images and of as many arms as there are lines."""
    lines = {LOW_DOSE: _LOW_DOSE} | dict(zip(arms, _LOOKS, strict=False))
    return {name: (*line, figure_text(run.label(name))) for name, line in lines.items()}


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=len(labels) or 1, frameon=False, fontsize=8)


def spectra_figure(run: Run, maps: HarmMaps) -> Figure:
    """Draw noise power and the signal's transfer function of the low-dose images and of the arms in `harm_arms`."""
    with style():
        figure, left, right = _side_by_side()
        for name, look in _looks(run, harm_arms(run, maps)).items():
            _line(left, maps.frequency_per_mm, maps.nps.get(name), look)
            _line(right, maps.frequency_per_mm, _from_one(maps.ttf.get(name)), look)
        left.set(yscale="log")
        # Plain numbers: powers of ten would be set by matplotlib's TeX, which takes a quarter of a second to start.
        left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        left.yaxis.set_minor_formatter(NullFormatter())
        left.set(xlabel="frequency (cycles/mm)", ylabel="noise power (HU² mm²)")
        right.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)
        right.set(xlabel="frequency (cycles/mm)", ylabel="transfer of the signal", ylim=(0, None))
        _legend(figure, left)
    return figure


def physics_figure(run: Run, curves: PhysicsCurves) -> Figure:
    """Draw the noise power over that of the low-dose images, and noise by position, of the arms in `harm_arms`."""
    with style():
        figure, left, right = _side_by_side()
        for name, look in _looks(run, physics_arms(run, curves)).items():
            _line(left, curves.frequency_per_mm, curves.nps_ratio.get(name), look)
            _line(right, curves.distance_mm, curves.noise_by_position.get(name), look)
        left.set(xlabel="frequency (cycles/mm)", ylabel="noise power over low-dose", ylim=(0, None))
        right.set(xlabel="distance from the middle (mm)", ylabel="noise (HU)", ylim=(0, None))
        _legend(figure, right)
    return figure


def _line(ax: Axes, frequency: Floats, values: Floats | None, look: _Look) -> None:
    if values is not None and np.isfinite(values).any():
        color, line, label = look
        ax.plot(frequency, values, color=color, linestyle=line, linewidth=1.3, label=label)


def _from_one(values: Floats | None) -> Floats | None:
    """A transfer function over its value at the lowest frequency that has one."""
    if values is None or not np.isfinite(values).any():
        return None
    first = values[np.isfinite(values)][0]
    return values / first if first else None
