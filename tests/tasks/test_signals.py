"""Signals: their distribution, and the truth that is saved of them."""

import numpy as np
import pytest
from scipy import stats

from taskct.errors import UserError
from taskct.tasks.shape_registry import SHAPES
from taskct.tasks.shapes import render
from taskct.tasks.signals import Signals, draw_signals, merge

RANGES = {
    "contrast_hu": (-30.0, 15.0),
    "diameter_mm": (4.0, 9.0),
    "blur_mm": (0.2, 0.8),
    "aspect": (0.5, 1.0),
    "exponent": (0.5, 2.0),
    "n_lobes": (4, 9),
    "lobe_depth": (0.1, 0.4),
}
N = 4000


def drawn(shape="nodule", seed=0, n=N, **change):
    return draw_signals(np.random.default_rng(seed), n, **(RANGES | {"shapes": [shape]} | change))


@pytest.mark.parametrize(
    ("shape", "name", "low", "high"),
    [
        ("nodule", "contrast_hu", -30.0, 15.0),
        ("nodule", "diameter_mm", 4.0, 9.0),
        ("nodule", "blur_mm", 0.2, 0.8),
        ("nodule", "aspect", 0.5, 1.0),
        ("nodule", "angle_rad", 0.0, 2 * np.pi),
        ("nodule", "exponent", 0.5, 2.0),
        ("lobulated", "lobe_depth", 0.1, 0.4),
    ],
)
def test_every_property_is_uniform_over_its_range(shape, name, low, high):
    values = getattr(drawn(shape), name)
    assert low <= values.min()
    assert values.max() <= high
    # False-alarm rate: 1e-6 each.
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-6


def test_the_log_uniform_law_has_as_many_in_every_octave():
    diameter = drawn(diameter_law="log-uniform", diameter_mm=(4.0, 16.0)).diameter_mm
    assert diameter.min() >= 4.0
    assert diameter.max() <= 16.0
    # False-alarm rate: 1e-6.
    assert stats.kstest(np.log2(diameter), stats.uniform(2, 2).cdf).pvalue > 1e-6


def test_shapes_and_lobes_are_equally_likely():
    s = drawn(shapes=["disc", "lobulated", "spiculated"])
    # False-alarm rate: 1e-6 each.
    assert stats.chisquare(np.unique(s.shape, return_counts=True)[1]).pvalue > 1e-6
    lobes, count = np.unique(s.n_lobes[s.n_lobes > 0], return_counts=True)
    assert lobes.tolist() == [4, 5, 6, 7, 8, 9]
    assert stats.chisquare(count).pvalue > 1e-6


def test_the_properties_are_independent():
    # False-alarm rate: 5 standard errors for each of 15 correlations, 9e-6 in all.
    s = drawn()
    names = ("diameter_mm", "contrast_hu", "blur_mm", "aspect", "angle_rad", "exponent")
    correlation = np.corrcoef([getattr(s, name) for name in names])
    assert np.abs(correlation[np.triu_indices(6, 1)]).max() < 5 / np.sqrt(N)


def test_what_plays_no_part_in_a_shape_is_not_in_its_truth():
    s = drawn("disc")
    assert {*s.aspect, *s.exponent, *s.n_lobes, *s.lobe_depth, *s.outline} == {1.0, 0.0, -1}
    assert set(drawn("ellipsoid").exponent) == {0.0}
    outlined = drawn(shapes=["lidc", "disc"], outlines=np.array([7, 9]))
    assert set(outlined.outline[outlined.shape == SHAPES.index("lidc")]) == {7, 9}
    assert set(outlined.outline[outlined.shape == SHAPES.index("disc")]) == {-1}


def test_a_seed_gives_the_same_signals_again():
    a, b, c = drawn(seed=1), drawn(seed=1), drawn(seed=2)
    for name in ("diameter_mm", "contrast_hu", "angle_rad"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert not np.array_equal(getattr(a, name), getattr(c, name))


def test_equal_limits_give_a_signal_known_exactly():
    s = draw_signals(
        np.random.default_rng(0),
        5,
        shapes=["ellipsoid"],
        contrast_hu=(20.0, 20.0),
        diameter_mm=(6.0, 6.0),
        aspect=(0.5, 0.5),
        angle_deg=(90.0, 90.0),
        diameter_law="log-uniform",
    )
    for name, value in {"contrast_hu": 20, "diameter_mm": 6, "aspect": 0.5, "angle_rad": np.pi / 2, "x_mm": 0}.items():
        assert set(getattr(s, name).tolist()) == {value}


def test_a_lesion_is_redrawn_exactly_from_its_saved_truth():
    s = drawn(n=30, shapes=[name for name in SHAPES if name != "lidc"])
    table = s.columns()
    assert {column.dtype for column in table.values()} == {np.dtype(np.float64)}
    again = Signals.from_columns(table | {"case": np.arange(30)})  # a truth table holds more than the signals
    for name, column in table.items():
        assert getattr(again, name).dtype == getattr(s, name).dtype
        np.testing.assert_array_equal(getattr(again, name), column)
    np.testing.assert_array_equal(*(render(v, n_pixels=24, pixel_mm=0.7, placed=True) for v in (s, again)))


def test_h0_may_hold_a_signal_of_its_own():
    present = np.array([True, False, True, False])
    h1, h0 = drawn("spiculated", seed=1, n=4), drawn("disc", seed=2, n=4)
    both = merge(present, h1, h0)
    for here, own in ((present, h1), (~present, h0)):
        for name, column in both[here].columns().items():
            np.testing.assert_array_equal(column, own[here].columns()[name])
    assert both.shape.dtype == np.int64
    assert len(both[1:3]) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shapes": ["cube"]}, "cube"),
        ({"shapes": []}, "shape"),
        ({"shapes": ["lidc"]}, "outlines"),
        ({"diameter_law": "normal"}, "diameter_law"),
        ({"diameter_mm": (0.0, 5.0)}, "diameter_mm"),
        ({"diameter_mm": (6.0, 5.0)}, "diameter_mm"),
        ({"contrast_hu": (float("nan"), 5.0)}, "contrast_hu"),
        ({"contrast_hu": (-float("inf"), 5.0)}, "contrast_hu"),
        ({"blur_mm": (-1.0, 5.0)}, "blur_mm"),
        ({"aspect": (0.5, 1.5)}, "aspect"),
        ({"exponent": (-1.0, 1.5)}, "exponent"),
        ({"n_lobes": (0, 5)}, "n_lobes"),
        ({"shapes": ["lobulated"], "lobe_depth": (0.2, 1.0)}, "lobe_depth"),
    ],
)
def test_an_impossible_signal_is_refused_in_one_line(change, named):
    with pytest.raises(UserError, match=named) as raised:
        drawn(n=3, **change)
    assert "\n" not in str(raised.value)
