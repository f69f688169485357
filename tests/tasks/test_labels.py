"""Label maps, organ masks and paired doses: everything of a slice moves together."""

import numpy as np
import pytest
from scipy import ndimage, stats

from taskct.errors import UserError
from taskct.tasks.backgrounds import AIR_HU, LabelMap, Slices, Tissue


def label_map(**changes):
    labels = np.zeros((2, 40, 40), dtype=np.int16)
    labels[:, 5:35, 5:35] = 1
    labels[0, 8:20, 8:24] = 7
    settings = {
        "labels": labels,
        "pixel_mm": (2.0, 2.0),
        "tissues": {1: Tissue(50.0), 7: Tissue(110.0, case_std_hu=10.0)},
        "case": np.array([3, 4]),
        "n_pixels": 40,
        "object_pixel_mm": 2.0,
        "shift_mm": 0.0,
    }
    return LabelMap(**(settings | changes))


def test_every_label_has_its_hu_and_the_rest_is_air():
    drawn = label_map().draw(np.random.default_rng(0), np.arange(400))
    assert drawn.case[:4].tolist() == [3, 4, 3, 4]
    second = drawn.image_hu[1::2]
    assert set(np.unique(second.round(2)).tolist()) == {-1000.0, 50.0}
    assert (second == 50).sum(axis=(1, 2)).tolist() == [900] * 200
    liver = drawn.image_hu[::2].max(axis=(1, 2))  # normal, 110 ± 10 HU: far above 50. False-alarm rate 1e-6.
    assert stats.kstest(liver, stats.norm(110, 10).cdf).pvalue > 1e-6


def test_the_organ_is_where_its_label_is():
    drawn = label_map(organ=7, shift_mm=15.0).draw(np.random.default_rng(1), np.arange(60))
    assert not drawn.organ[1::2].any()
    for image, organ in zip(drawn.image_hu[::2], drawn.organ[::2], strict=True):
        assert organ.sum() == 12 * 16
        assert (image > 65).sum() < 1.4 * organ.sum()
        assert np.mean(image[organ] > 60) > 0.9


def test_textures_are_as_strong_as_the_table_says_and_stay_in_their_organ():
    # Independent patches in hundreds of draws: scatter of the deviation about 1 %.
    drawn = label_map(tissues={1: Tissue(50.0), 7: Tissue(110.0, texture_hu=20.0)}, organ=7).draw(
        np.random.default_rng(2), np.arange(0, 600, 2)
    )
    assert drawn.image_hu[drawn.organ].std() == pytest.approx(20.0, rel=0.07)
    assert drawn.image_hu[drawn.organ].mean() == pytest.approx(110.0, abs=2.5)
    plain = ~drawn.organ & (drawn.image_hu > -500) & ~np.roll(drawn.organ, 1, 1) & ~np.roll(drawn.organ, -1, 1)
    plain &= ~np.roll(drawn.organ, 1, 2) & ~np.roll(drawn.organ, -1, 2)
    np.testing.assert_allclose(drawn.image_hu[plain], 50.0, atol=0.01)


def test_one_slice_will_do_and_air_may_have_a_hu_of_its_own():
    drawn = label_map(
        labels=np.zeros((4, 4), dtype=int), tissues={0: Tissue(-20.0)}, case=np.array([9]), n_pixels=2
    ).draw(np.random.default_rng(0), np.arange(2))
    np.testing.assert_allclose(drawn.image_hu, -20.0)


def test_mistakes_in_a_label_map_are_told():
    with pytest.raises(UserError, match="no HU for the labels 7 of the label map"):
        label_map(tissues={1: Tissue(50.0)})
    with pytest.raises(UserError, match="label 5 for the lesion is in none of the 2 slices: choose one of 0, 1, 7"):
        label_map(organ=5)
    with pytest.raises(UserError, match="label 1 has -1200 HU, less than air"):
        label_map(tissues={1: Tissue(-1200.0), 7: Tissue(0.0)})
    with pytest.raises(ValueError, match="2 label slices of type float64 with 2 case numbers"):
        label_map(labels=np.zeros((2, 4, 4)))


def paired(**changes):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 100, (3, 24, 24)).astype(np.float32)
    images[:, 12:] += 500
    settings = {
        "image_hu": images,
        "pixel_mm": (1.0, 1.0),
        "case": np.arange(3),
        "n_pixels": 48,
        "object_pixel_mm": 1.0,
        "shift_mm": 9.0,
        "organ": images > 300,
        "noisy_hu": 2 * images,
    }
    return Slices(**(settings | changes))


def test_the_two_doses_and_the_organ_move_together():
    # Where all of a pixel's neighbours are tissue, interpolation is linear: the second dose stays twice the first.
    drawn = paired().draw(np.random.default_rng(1), np.arange(30))
    tissue = (drawn.image_hu > -1) & (drawn.noisy_hu > -1)
    inside = ndimage.binary_erosion(tissue, np.ones((1, 3, 3)))
    assert inside.mean() > 0.15
    np.testing.assert_allclose(drawn.noisy_hu[inside], 2 * drawn.image_hu[inside], rtol=1e-4, atol=1e-2)
    assert drawn.organ.sum(axis=(1, 2)).tolist() == [24 * 12] * 30
    assert np.mean(drawn.image_hu[drawn.organ] > 200) > 0.9
    assert (drawn.image_hu > 350).sum() < 1.2 * drawn.organ.sum()


def test_without_a_pair_or_an_organ_there_is_none():
    drawn = paired(organ=None, noisy_hu=None).draw(np.random.default_rng(1), np.arange(2))
    assert drawn.organ is None
    assert drawn.noisy_hu is None


def test_noise_may_read_less_than_air_but_padding_is_air():
    noisy = np.full((3, 24, 24), -1200.0, dtype=np.float32)
    noisy[:, :, :4] = -3024.0
    drawn = paired(noisy_hu=noisy, image_hu=noisy, organ=None, shift_mm=0.0, n_pixels=24).draw(
        np.random.default_rng(0), np.arange(9)
    )
    assert np.unique(drawn.image_hu).tolist() == [AIR_HU]
    assert np.unique(drawn.noisy_hu.round(2)).tolist() == [-1200.0, AIR_HU]


def test_mistakes_in_slices_are_told():
    with pytest.raises(UserError, match="in none of the 3 slices"):
        paired(organ=np.zeros((3, 24, 24), dtype=bool))
    with pytest.raises(ValueError, match=r"noisy_hu has shape \(3, 24, 20\)"):
        paired(noisy_hu=np.zeros((3, 24, 20), np.float32))
