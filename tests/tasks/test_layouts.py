"""Layouts of phantoms: those that come with taskct against what is published, and files of the user's."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.tasks.layout_file import find_layout
from taskct.tasks.layouts import LAYOUT_RANGES, LAYOUTS, ROD_RANGES, PhantomLayout, Rod

ONE = {"diameter_mm": 10.0, "contrast_hu": 3.0, "radius_mm": 40.0, "angle_deg": 45.0}
FILE = "diameter_mm: 200\nrods:\n  - {diameter_mm: 10, contrast_hu: 3, radius_mm: 40, angle_deg: 45}\n"


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_mita_phantom_has_its_four_rods_a_quarter_turn_apart() -> None:
    layout = LAYOUTS["cct189"]
    assert layout.diameter_mm == 200.0
    assert {rod.diameter_mm: rod.contrast_hu for rod in layout.rods} == {3.0: 14.0, 5.0: 7.0, 7.0: 5.0, 10.0: 3.0}
    x, y = layout.sites_mm()
    np.testing.assert_allclose(np.hypot(x, y), 40.0)
    # As published with y upwards: 3 mm to the upper right, 5 mm upper left, 7 mm lower left, 10 mm lower right.
    assert np.sign(x).tolist() == [1, -1, -1, 1]
    assert np.sign(-y).tolist() == [1, 1, -1, -1]


def test_the_acr_phantom_has_four_rods_of_each_size_a_diameter_apart() -> None:
    layout = LAYOUTS["acr464"]
    assert {rod.contrast_hu for rod in layout.rods} == {6.0}
    sizes = [rod.diameter_mm for rod in layout.rods]
    assert {size: sizes.count(size) for size in sizes} == {25.0: 1, 6.0: 4, 5.0: 4, 4.0: 4, 3.0: 4, 2.0: 4}
    x, y = layout.sites_mm()
    for size in (6.0, 5.0, 4.0, 3.0, 2.0):
        row = [i for i, rod in enumerate(layout.rods) if rod.diameter_mm == size]
        np.testing.assert_allclose(np.hypot(np.diff(x[row]), np.diff(y[row])), 2.0 * size)


def test_the_catphan_has_three_sets_of_nine_a_third_of_a_turn_apart() -> None:
    rods = LAYOUTS["catphan600"].rods
    assert {rod.radius_mm for rod in rods} == {50.0}
    sets = {hu: [rod for rod in rods if rod.contrast_hu == hu] for hu in (10.0, 5.0, 3.0)}
    angles = {hu: np.array([rod.angle_deg for rod in some]) for hu, some in sets.items()}
    assert all([rod.diameter_mm for rod in some] == [15, 9, 8, 7, 6, 5, 4, 3, 2] for some in sets.values())
    np.testing.assert_allclose((angles[3.0] - angles[10.0]) % 360.0, 120.0)
    np.testing.assert_allclose((angles[5.0] - angles[10.0]) % 360.0, 240.0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_mirror_exchanges_left_and_right_and_two_change_nothing(name: str) -> None:
    layout = find_layout(name)
    (x, y), (x_mirrored, y_mirrored) = layout.sites_mm(), find_layout(f"{name}-mirrored").sites_mm()
    np.testing.assert_allclose(x_mirrored, -x, atol=1e-9)
    np.testing.assert_allclose(y_mirrored, y, atol=1e-9)
    again = layout.mirrored().mirrored()
    assert again.name == name
    np.testing.assert_allclose(again.sites_mm(), layout.sites_mm(), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in ROD_RANGES for value in ROD_RANGES[name].outside()]
)
def test_a_rod_of_impossible_numbers_is_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"rod 'odd': {name} is .* it must be "):
        Rod("odd", **ONE | {name: value})


@pytest.mark.parametrize("value", LAYOUT_RANGES["diameter_mm"].outside())
def test_a_cylinder_of_impossible_size_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"diameter_mm is .* it must be 10 to 1000 mm"):
        PhantomLayout("odd", value, (Rod("one", **ONE),))


@pytest.mark.parametrize(
    ("rods", "words"),
    [
        ((), "has 0 rods; give 1 to 200"),
        ((Rod("a", **ONE), Rod("a", **ONE | {"angle_deg": 0.0})), "two rods of the name 'a'"),
        ((Rod("a", **ONE), Rod("b", **ONE | {"angle_deg": 50.0})), "rods 'a' and 'b' overlap"),
        ((Rod("a", **ONE | {"radius_mm": 96.0}),), "reaches 101 mm from the axis, beyond the cylinder's radius of 100"),
    ],
)
def test_rods_that_cannot_be_are_refused(rods: tuple[Rod, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        PhantomLayout("odd", 200.0, rods)


def test_a_rod_without_contrast_is_refused() -> None:
    with pytest.raises(UserError, match="contrast_hu is 0"):
        Rod("none", **ONE | {"contrast_hu": 0.0})


def test_a_file_gives_the_layout_that_it_says(tmp_path) -> None:
    layout = find_layout(written(tmp_path, FILE + "body_hu: 20\nmirrored: true\n"))
    assert layout.body_hu == 20.0
    assert layout.mirrored() == PhantomLayout("mine", 200.0, (Rod("10 mm, 3 HU", **ONE),), body_hu=20.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it holds no layout; write diameter_mm"),
        ("- 1", "it holds no layout"),
        ("diameter_mm: 200", "diameter_mm or the list of rods is missing"),
        (FILE + "roads: []", "a layout has no 'roads': it has name, diameter_mm"),
        (FILE.replace("angle_deg", "angle"), "rod 1 has no 'angle': it has name, diameter_mm, contrast_hu"),
        (FILE.replace(", angle_deg: 45", ""), "rod 1 lacks angle_deg"),
        (FILE.replace("45", "left"), "angle_deg of rod 1 is 'left'; give a number"),
        (FILE.replace("45", "true"), "angle_deg of rod 1 is 'True'; give a number"),
        (FILE.replace("200", "1" + 399 * "0"), "diameter_mm of the layout is too large"),
        (FILE.replace("200", ".nan"), "diameter_mm is nan; it must be 10 to 1000 mm"),
        (FILE + "mirrored: 1", "mirrored is '1'; give true or false"),
        (FILE + f"name: {61 * 'a'}", "give text of 1 to 60 characters"),
        ("diameter_mm: 200\nrods: [7]", "rod 1 is no mapping"),
        ("diameter_mm: [", "is not valid YAML at line"),
        ("diameter_mm: 200\ndiameter_mm: 100", "stands on line 1 already"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        find_layout(written(tmp_path, text))
    assert "mine.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_and_a_missing_file_are_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match="no phantom layout 'cct190': choose one of cct189, acr464, catphan600, or"):
        find_layout("cct190")
    with pytest.raises(UserError, match="no such file"):
        find_layout(tmp_path / "none.yaml")
