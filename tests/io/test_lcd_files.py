"""The public low-contrast data set, whose headers tell neither the pixel size nor where HU begin."""

from pathlib import Path

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io import RawWords, read_images

LCD = Path(__file__).parents[3] / "shared" / "data" / "lcd_ct_small"
pytestmark = pytest.mark.skipif(not LCD.is_dir(), reason="the data set lcd_ct_small is not beside the checkout")

WORDS = {"fbp": RawWords(byte_order="little", offset=-1000.0), "DL_denoised": RawWords("big", offset=31768.0)}
DOSES, CLASSES = ("dose_010", "dose_055", "dose_100"), ("signal_present", "signal_absent")


@pytest.mark.parametrize("kind", ["fbp", "DL_denoised"])
def test_water_and_air_are_where_hu_have_them(kind):
    rows, columns = np.mgrid[:256, :256] - 127.5
    distance = np.hypot(rows, columns)
    for dose in DOSES:
        for of_class in CLASSES:
            stack = read_images(LCD / kind / dose / of_class, WORDS[kind])
            assert stack.images.shape == (10, 256, 256)
            water, air = stack.images[:, distance < 40].mean(), stack.images[:, distance > 122].mean()
            assert abs(water) < 5.0
            assert abs(air + 1000.0) < 25.0  # the denoiser's air is cut at −1000 HU


def test_the_denoised_are_of_other_scans_so_that_nothing_pairs_them():
    first, second = (
        read_images(LCD / kind / "dose_010" / "signal_present", WORDS[kind]).images[:, 64:192, 64:192]
        for kind in ("fbp", "DL_denoised")
    )
    noise = [(stack - stack.mean(axis=0)).reshape(10, -1) for stack in (first, second)]
    alike = np.corrcoef(*noise)[:10, 10:]
    assert np.abs(alike).max() < 0.1  # of one scan before and after a denoiser it would be near 1


def test_without_being_told_the_denoised_are_refused():
    with pytest.raises(UserError, match="32768 looks taken off"):
        read_images(LCD / "DL_denoised" / "dose_100" / "signal_present")
    told_wrong = read_images(LCD / "fbp" / "dose_100" / "signal_present", RawWords(byte_order="big")).images
    assert told_wrong.std() > 5000.0  # what is told is not doubted
