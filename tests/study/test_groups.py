"""Which head judges a trial."""

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.errors import UserError
from taskct.study.groups import group_labels, group_of
from taskct.tasks.shape_registry import SHAPES
from taskct.trials.trials import TRUTH, Trials


def trials_with(**columns: list[float]) -> Trials:
    n = len(next(iter(columns.values())))
    truth = {name: np.zeros(n) for name in (*TRUTH, "shape")}
    truth |= {name: np.array(values, dtype=float) for name, values in columns.items()}
    images = np.zeros((n, 4, 4), dtype=np.float32)
    return Trials(images, images, np.arange(n) % 2 == 0, truth)


def test_one_head_for_all() -> None:
    settings = make_settings({})
    assert group_labels(settings) == ("all",)
    assert group_of(settings, trials_with(x_mm=[1, 2, 3])).tolist() == [0, 0, 0]


def test_a_head_for_every_region() -> None:
    settings = make_settings(
        {"scanner": {"region_count": 2, "region_step_mm": 40.0}, "training": {"head_per": "region"}}
    )
    # Places lie at ±20 mm, row by row; images kept as they are move them by parts of a pixel.
    trials = trials_with(region_x_mm=[-20, 20.4, -19.7, 20], region_y_mm=[-20, -20, 20, 20.2])
    assert group_labels(settings) == ("region 1", "region 2", "region 3", "region 4")
    assert group_of(settings, trials).tolist() == [0, 1, 2, 3]


def test_sites_that_nearly_meet_have_names_of_their_own() -> None:
    sites = [[5.0, 0.0], [5.0000001, 0.0]]
    settings = make_settings({"signal": {"site": "list", "sites_mm": sites}, "training": {"head_per": "site"}})
    assert group_labels(settings) == ("(5, 0) mm", "(5.0000001, 0) mm")


def test_a_head_for_every_listed_site() -> None:
    sites = [[0.0, 0.0], [5.0, -5.0]]
    settings = make_settings({"signal": {"site": "list", "sites_mm": sites}, "training": {"head_per": "site"}})
    assert group_of(settings, trials_with(x_mm=[5, 0, 5], y_mm=[-5, 0, -5])).tolist() == [1, 0, 1]


def test_a_head_for_every_shape() -> None:
    settings = make_settings({"signal": {"shape": ["nodule", "disc"]}, "training": {"head_per": "shape"}})
    shapes = [SHAPES.index(name) for name in ("disc", "nodule", "disc")]
    assert group_labels(settings) == ("nodule", "disc")
    assert group_of(settings, trials_with(shape=[float(s) for s in shapes])).tolist() == [1, 0, 1]


def test_a_head_per_site_needs_listed_sites() -> None:
    with pytest.raises(UserError, match=r"needs signal\.site=list"):
        group_labels(make_settings({"training": {"head_per": "site"}}))


def test_too_many_heads_are_refused() -> None:
    settings = make_settings({"scanner": {"region_count": 9}, "training": {"head_per": "region"}})
    with pytest.raises(UserError, match="81 heads: at most 64"):
        group_labels(settings)
