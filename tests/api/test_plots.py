"""Pictures of trials and ROC curves."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import taskct
from taskct.metrics.roc import delong_interval
from taskct.trials.trials import TRUTH, Trials


@pytest.fixture(autouse=True)
def _no_figures():
    yield
    plt.close("all")


@pytest.fixture
def trials():
    rng = np.random.default_rng(0)
    noisy, reference = rng.normal(40.0, 20.0, (2, 6, 12, 10)).astype(np.float32)
    truth = {name: np.arange(6.0) for name in TRUTH} | {"x_mm": np.full(6, 1.0), "y_mm": np.full(6, -2.0)}
    return Trials(noisy, reference, np.array([1, 1, 1, 1, 0, 0], dtype=bool), truth, margin=2, pixel_mm=0.5)


def test_trials_say_what_they_are(trials):
    assert repr(trials) == "Trials(6 of 12×10 pixels of 0.5 mm, margin 2, 67% with the signal, 6 backgrounds)"


def test_trials_are_shown_with_their_truth(trials):
    axes = trials.plot(4)
    assert axes.shape == (4, 2)
    assert [ax.get_title() for ax in axes[0]] == ["reference", "low-dose"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == [
        f"trial {k}, signal {truth}\ny (mm)"
        for k, truth in ((0, "present"), (1, "present"), (4, "absent"), (5, "absent"))
    ]
    (ring,) = axes[0, 0].patches
    assert ring.center == (1.0, -2.0)
    assert not axes[2, 0].patches
    np.testing.assert_array_equal(axes[1, 1].images[0].get_array(), trials.noisy_regions[1])
    assert axes[0, 0].images[0].get_extent() == [-1.5, 1.5, 2.0, -2.0]


def test_other_images_and_windows(trials):
    regions = trials.noisy_regions / 2
    axes = trials.plot([3], images={"region": regions, "whole": trials.noisy}, window_hu=(40.0, 100.0))
    assert [ax.get_title() for ax in axes[0]] == ["reference", "low-dose", "region", "whole"]
    np.testing.assert_array_equal(axes[0, 3].images[0].get_array(), trials.noisy_regions[3])
    assert axes[0, 0].images[0].get_clim() == (-10.0, 90.0)
    assert len(trials.plot(1)) == 1
    assert len(trials.plot(5)) == 5
    with pytest.raises(taskct.UserError, match="numbers from 0 to 5"):
        trials.plot([6])
    with pytest.raises(taskct.UserError, match="give at least 1"):
        trials.plot(0)
    with pytest.raises(taskct.UserError, match=r"'x' have the shape \(6, 3, 3\): give \(6, 12, 10\)"):
        trials.plot(images={"x": np.zeros((6, 3, 3))})
    with pytest.raises(taskct.UserError, match="width above 0 HU"):
        trials.plot(window_hu=(0.0, 0.0))


def test_roc_curves_of_one_and_of_several_scores():
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2 == 0
    scores = rng.normal(size=60) + truth
    ax = taskct.plot_roc(scores, truth)
    one = delong_interval(scores[truth], scores[~truth])
    wanted = f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [wanted]
    assert taskct.plot_roc({"a": scores, "b": -scores}, truth, ax=ax) is ax
    assert ax.get_legend().get_texts()[-1].get_text().startswith("b: 0.")
    with pytest.raises(taskct.UserError, match=r"scores 'a' have the shape \(59,\)"):
        taskct.plot_roc({"a": scores[1:]}, truth)
