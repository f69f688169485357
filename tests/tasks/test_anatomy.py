"""Abdomen and thorax: organs that never overlap, HU that follow their table, masks that lie in the organ."""

import numpy as np
import pytest
from scipy import stats

from taskct.errors import UserError
from taskct.tasks.backgrounds import AIR_HU, Abdomen, Lumpy, Thorax, abdomen, thorax

BODIES = [(Abdomen, abdomen), (Thorax, thorax)]
GRID = {"n_pixels": 128, "pixel_mm": 3.0}


def radius(ellipses, k, x, y):
    """Radius of points (n, m) in ellipse k of every body, 1 on its rim."""
    dx, dy = x - ellipses.x_mm[:, k, None], y - ellipses.y_mm[:, k, None]
    turn = ellipses.angle_rad[:, k, None]
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    return np.hypot(along / ellipses.half_x_mm[:, k, None], across / ellipses.half_y_mm[:, k, None])


def rim(ellipses, k):
    phi, turn = np.linspace(0, 2 * np.pi, 181), ellipses.angle_rad[:, k, None]
    a, b = ellipses.half_x_mm[:, k, None] * np.cos(phi), ellipses.half_y_mm[:, k, None] * np.sin(phi)
    return ellipses.x_mm[:, k, None] + a * np.cos(turn) - b * np.sin(turn), ellipses.y_mm[:, k, None] + a * np.sin(
        turn
    ) + b * np.cos(turn)


@pytest.mark.parametrize(("kind", "module"), BODIES)
def test_every_part_lies_in_its_parent_and_meets_no_other(kind, module):
    ellipses = kind(**GRID, texture=None).draw(np.random.default_rng(0), np.arange(60)).ellipses
    number = {part.name: k for k, part in enumerate(module.PARTS)}
    for k, part in enumerate(module.PARTS[1:], start=1):
        x, y = rim(ellipses, k)
        assert radius(ellipses, number[part.parent], x, y).max() < 1.0, part.name
        for j, other in enumerate(module.PARTS):
            if j != k and other.parent == part.parent and j > 0:
                assert radius(ellipses, j, x, y).min() > 1.0, (part.name, other.name)


@pytest.mark.parametrize(("kind", "module"), BODIES)
def test_every_tissue_has_its_distribution_in_hu(kind, module):
    # The sum of all the ellipses about the middle of every part without children. False-alarm rate 1e-7 a tissue.
    ellipses = kind(**GRID, texture=None).draw(np.random.default_rng(1), np.arange(300)).ellipses
    parents = {part.parent for part in module.PARTS}
    seen = set()
    for k, part in enumerate(module.PARTS):
        if part.name in parents or part.chance < 1 or part.tissue in seen:
            continue
        seen.add(part.tissue)
        x, y = ellipses.x_mm[:, k, None], ellipses.y_mm[:, k, None]
        hu = AIR_HU + sum(
            ellipses.add_hu[:, j] * (radius(ellipses, j, x, y)[:, 0] < 1) for j in range(len(module.PARTS))
        )
        assert stats.kstest(hu, stats.norm(*module.TISSUES[part.tissue]).cdf).pvalue > 1e-7, part.tissue
    assert len(seen) > 5


@pytest.mark.parametrize(("kind", "module"), BODIES)
def test_bodies_differ_and_are_as_wide_as_asked(kind, module):
    background = kind(**GRID, width_mm=(300.0, 340.0), texture=None, first_case=11)
    drawn = background.draw(np.random.default_rng(2), np.array([4, 0, 9] * 40))
    assert drawn.case[:3].tolist() == [15, 11, 20]
    width = 2 * drawn.ellipses.half_x_mm[:, 0]
    assert 299.9 < width.min() < 305  # missing either end by 5 mm has a probability of (7/8)¹²⁰ = 1e-7
    assert 335 < width.max() < 340.1
    np.testing.assert_array_equal(drawn.image_hu, AIR_HU)
    total = drawn.total_hu(3.0).reshape(120, -1)
    assert np.abs(total[:-1] - total[1:]).mean(axis=1).min() > 5.0


@pytest.mark.parametrize(("kind", "module"), BODIES)
def test_the_same_generator_gives_the_same_bodies(kind, module):
    background = kind(**GRID)
    background.draw(np.random.default_rng(8), np.arange(3))  # leaves no trace
    one, two = (background.draw(np.random.default_rng(3), np.arange(3)) for _ in range(2))
    np.testing.assert_array_equal(one.total_hu(3.0), two.total_hu(3.0))


@pytest.mark.parametrize(
    ("kind", "module", "organ"), [(k, m, organ) for k, m in BODIES for organ in m.ORGANS], ids=lambda v: str(v)[-12:]
)
def test_a_lesion_may_lie_in_the_organ_only(kind, module, organ):
    drawn = kind(**GRID, organ=organ, texture=None).draw(np.random.default_rng(4), np.arange(12))
    ellipses, number = drawn.ellipses, {part.name: k for k, part in enumerate(module.PARTS)}
    axis = (np.arange(128) - 63.5) * 3.0
    x, y = (np.broadcast_to(v, (128, 128)).reshape(1, -1) for v in (axis[None, :], axis[:, None]))
    members = [number[name] for name in module.ORGANS[organ]]
    inside = np.any([radius(ellipses, k, x, y) < 1 for k in members], axis=0)
    for k, part in enumerate(module.PARTS):
        if part.parent in module.ORGANS[organ] and not part.lesions:
            inside &= (radius(ellipses, k, x, y) > 1) | (ellipses.add_hu[:, k, None] == 0)
    mask = drawn.organ.reshape(12, -1)
    assert not (mask & ~inside).any()
    assert mask.sum() > 0.4 * inside.sum()  # all but a rim of about a pixel
    assert mask.any(axis=1).all()


def test_the_texture_is_as_strong_as_its_tissue_asks():
    # Pooled over 60 livers (and lungs, four times as strong); scatter well below 3 %.
    texture = Lumpy(std_hu=8.0, sigma_mm=5.0, lumps_per_mm2=0.01)
    for kind, strength in [(Abdomen, 1.0), (Thorax, 4.0)]:
        drawn = kind(**GRID, texture=texture).draw(np.random.default_rng(5), np.arange(60))
        # Vessels have no texture of their own: the strongest part of the organ's pixels is the organ itself.
        values = (drawn.image_hu - AIR_HU)[drawn.organ]
        assert values.std() == pytest.approx(8.0 * strength, rel=0.12)
        assert (drawn.image_hu[:, 0, 0] == AIR_HU).all()


def test_optional_parts_are_there_as_often_as_stated():
    # A gallbladder in 70 % of bodies; a part within a missing one is missing too. False-alarm rate of the test: 1e-6.
    names = [part.name for part in abdomen.PARTS]
    ellipses = Abdomen(**GRID, texture=None).draw(np.random.default_rng(6), np.arange(400)).ellipses
    there = (ellipses.add_hu[:, names.index("gallbladder")] != 0).sum()
    assert stats.binomtest(int(there), 400, 0.7).pvalue > 1e-6


def test_mistakes_are_told():
    with pytest.raises(UserError, match="choose one of liver, spleen, kidneys, pancreas"):
        Abdomen(**GRID, organ="lungs")
    with pytest.raises(UserError, match="370 mm wide but the object grid only 333 mm"):
        Abdomen(n_pixels=128, pixel_mm=2.6)
    with pytest.raises(UserError, match="smallest and a largest width"):
        Thorax(**GRID, width_mm=(350.0, 300.0))
