"""Lesion presets: they draw what they say, and say where it comes from."""

import numpy as np
import pytest

from taskct.tasks.lesions import LESIONS
from taskct.tasks.shapes import check_visible
from taskct.tasks.signals import draw_signals


def test_a_liver_metastasis_and_a_lung_nodule_are_there():
    assert {"liver-metastasis", "lung-nodule"} <= set(LESIONS)
    assert LESIONS["liver-metastasis"].organ == "liver"
    assert max(LESIONS["liver-metastasis"].ranges["contrast_hu"]) < 0  # hypo-attenuating


@pytest.mark.parametrize("name", LESIONS)
def test_a_preset_draws_visible_lesions_within_its_ranges_and_names_its_source(name):
    preset = LESIONS[name]
    signals = draw_signals(np.random.default_rng(0), 200, **preset.ranges)
    for column in ("contrast_hu", "diameter_mm", "blur_mm", "aspect"):
        low, high = preset.ranges[column]
        values = getattr(signals, column)
        assert low <= values.min() <= values.max() <= high
    check_visible(signals, pixel_mm=0.8, max_share=0.0)
    assert "doi 10." in preset.source
    assert "our choice" in preset.source  # what no source gives is said to be so


def test_nodules_over_lung_have_the_attenuation_of_their_source():
    lung = -850.0
    solid, glass = (
        np.array(LESIONS[name].ranges["contrast_hu"]) + lung for name in ("lung-nodule", "ground-glass-nodule")
    )
    assert solid[0] <= -2.2 <= 42.7 <= solid[1]  # Xu et al., malignant and benign
    np.testing.assert_allclose(glass, [-675.0, -562.0])  # Wang et al.
    # A ball of 50 to 500 mm³.
    np.testing.assert_allclose(
        LESIONS["lung-nodule"].ranges["diameter_mm"], (6 * np.array([50.0, 500.0]) / np.pi) ** (1 / 3), atol=0.06
    )
