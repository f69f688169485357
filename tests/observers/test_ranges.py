"""Every declared range: just outside it a value is refused, in one line that says what is allowed."""

import inspect
import math

import numpy as np
import pytest

from human_noise import HUMAN_NOISE
from taskct.errors import UserError
from taskct.observers import OBSERVERS, channels, lumpy_log_likelihood_ratio, make_observer
from taskct.observers.channelized import SPLIT_RANGES, split_aucs
from taskct.observers.channels import CHANNEL_RANGES
from taskct.observers.eye import FILTER_RANGES, eye_filter
from taskct.observers.lumpy_ideal import LUMPY_RANGES, LumpyImages
from taskct.observers.scanning import SCAN_RANGES, Scanning
from taskct.observers.slnn_head import RANGES as HEAD_RANGES
from taskct.observers.slnn_head import SLNNHead
from taskct.ranges import Range

NEEDED = {
    "ho_eye": {"pixel_mm": 0.7, "internal_noise_hu": 5.0},
    "npwe": {"pixel_mm": 0.7},
    "human": {"human": HUMAN_NOISE},
    "pwmf": {"nps_hu2_mm2": np.ones((2, 2)), "pixel_mm": 0.7},
}
CHANNELS = {
    "laguerre_gauss": {"width_px": 2.0},
    "gabor": {},
    "difference_of_gaussians": {"sigma0": 0.015, "alpha": 2.0, "q": 2.0, "n_channels": 3},
    "sparse_dog": {},
    "dense_dog": {},
}
LUMPY = {"lumps_per_mm2": 0.1, "lump_sigma_mm": 1.0, "lump_hu": 0.0, "noise_hu": 4.0}


def head(**settings: float) -> SLNNHead:
    return SLNNHead((4, 4), kind="eye", pixel_mm=0.7, **settings)  # type: ignore[arg-type]


def lumpy(**settings: float) -> object:
    of_chain = {name: settings.pop(name) for name in ("n_steps", "n_burn_in") if name in settings}
    images = LumpyImages(**{**LUMPY, **settings})
    return lumpy_log_likelihood_ratio(np.ones((1, 4, 4)), np.ones((4, 4)), images, **of_chain)  # type: ignore[arg-type]


def observer(name: str):
    return lambda **settings: make_observer(name, **{**NEEDED.get(name, {}), **settings})


def channel(name: str):
    return lambda **settings: getattr(channels, name)((6, 6), **{**CHANNELS[name], **settings})


def ranges_of(name: str) -> dict[str, Range]:
    return dict(type(observer(name)()).ranges)


DECLARED = {
    **{name: (observer(name), ranges_of(name)) for name in OBSERVERS},
    **{
        name: (
            channel(name),
            {k: r for k, r in CHANNEL_RANGES.items() if k in inspect.signature(getattr(channels, name)).parameters},
        )
        for name in CHANNELS
    },
    "eye": (lambda **settings: eye_filter((4, 4), **{"pixel_mm": 0.7, **settings}), FILTER_RANGES),
    "head": (head, HEAD_RANGES),
    "scanning": (lambda **s: Scanning(make_observer("ho"), **{"size_px": 3, **s}), SCAN_RANGES),
    "lumpy": (lumpy, LUMPY_RANGES),
    "splits": (lambda **s: split_aucs(np.zeros((8, 1)), np.arange(8) < 4, **s), SPLIT_RANGES),
}


@pytest.mark.parametrize(
    ("of", "name"), [(of, name) for of, (_, ranges) in DECLARED.items() for name in ranges], ids=str
)
def test_just_outside_its_range_a_value_is_refused(of: str, name: str) -> None:
    make, ranges = DECLARED[of]
    for value in ranges[name].outside():
        with pytest.raises(UserError) as caught:
            make(**{name: value})
        message = str(caught.value)
        assert message.startswith(f"{name} is {value:g}; it must be {ranges[name]}")
        assert "\n" not in message


@pytest.mark.parametrize("name", OBSERVERS)
def test_every_number_that_an_observer_takes_has_a_range(name: str) -> None:
    kind = type(observer(name)())
    numbers = {
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.annotation in (int, float, "int", "float", float | None)
    }
    assert numbers == set(kind.ranges)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Range(0.0), "finite and at least 0"),
        (Range(0.0, unit="mm", open_low=True), "finite and above 0 mm"),
        (Range(1, whole=True), "a whole number of at least 1"),
        (Range(1, 5, whole=True), "a whole number from 1 to 5"),
        (Range(0.01, 10.0, "mm"), "0.01 to 10 mm"),
        (Range(0.0, 1.0, open_low=True, open_high=True), "above 0 and below 1"),
        (Range(0.0, 1.0, open_high=True), "at least 0 and below 1"),
        (Range(), "finite"),
    ],
)
def test_what_is_allowed_in_words(allowed: Range, words: str) -> None:
    assert str(allowed) == words
    assert all(value not in allowed for value in allowed.outside())


def test_the_ends_of_a_closed_range_are_inside_and_its_limits_are_those_of_a_setting() -> None:
    assert (Range(0.05, 50.0).check("m", 0.05), Range(0.05, 50.0).check("m", 50)) == (0.05, 50.0)
    assert Range(0.05, 50.0).limits() == {"ge": 0.05, "le": 50.0}
    assert Range(0.0, open_low=True).limits() == {"gt": 0.0}
    assert Range(1, whole=True).check("n", 3.0) == 3
    assert math.nan not in Range()
