"""The physics of a public data set: a low-contrast phantom at three doses, FBP and after a network."""

from pathlib import Path

import numpy as np
import pytest

from taskct.apply.image_physics import measure_physics, measure_rod
from taskct.apply.phantom import find_layout, find_phantom, rod_trials
from taskct.io import RawWords, read_images

LCD = Path(__file__).parents[3] / "shared" / "data" / "lcd_ct_small"
pytestmark = [
    pytest.mark.skipif(not LCD.is_dir(), reason="the data set lcd_ct_small is not beside the checkout"),
    pytest.mark.slow,
]
PIXEL_MM = 0.6445
WORDS = {"fbp": RawWords(byte_order="little", offset=-1000.0), "DL_denoised": RawWords("big", offset=31768.0)}
RODS = ((3, 14, -45), (5, 7, -135), (7, 5, 135), (10, 3, 45))


def scans(kind, dose):
    return (
        read_images(LCD / kind / f"dose_{dose}" / f"signal_{one}", WORDS[kind]).images for one in ("present", "absent")
    )


def test_noise_falls_with_the_root_of_the_dose_and_the_network_leaves_the_finer_part():
    middle = slice(96, 160)
    noise, frequency = {}, {}
    for kind in WORDS:
        for dose in ("010", "055", "100"):
            _, absent = scans(kind, dose)
            found = measure_physics(absent[:, middle, middle], pixel_mm=PIXEL_MM)
            noise[kind, dose], frequency[kind, dose] = found.noise_hu, found.nps_mean_per_mm
    for dose in ("010", "055"):
        expected = noise["fbp", "100"].value / np.sqrt(int(dose) / 100)
        assert noise["fbp", dose].value == pytest.approx(expected, rel=0.02)
        assert noise["DL_denoised", dose].ci_high < noise["fbp", dose].ci_low
        assert frequency["DL_denoised", dose].ci_low > frequency["fbp", dose].ci_high + 0.05


def test_ten_repeats_tell_the_contrast_of_some_rods_and_the_resolution_of_none(tmp_path):
    lines = [f"  - {{diameter_mm: {d}, contrast_hu: {c}, radius_mm: 30, angle_deg: {a}}}" for d, c, a in RODS]
    path = tmp_path / "layout.yaml"
    path.write_text("\n".join(["name: twin of 150 mm", "diameter_mm: 150", "rods:", *lines]), encoding="utf-8")
    layout = find_layout(str(path))
    present, absent = scans("DL_denoised", "100")
    found = find_phantom(present, layout, pixel_mm=PIXEL_MM)
    held = 0
    for trials in rod_trials(present, absent, layout, pixel_mm=PIXEL_MM, found=found):
        rod = measure_rod(
            trials.images,
            trials.signal_present,
            pixel_mm=PIXEL_MM,
            diameter_mm=trials.rod.diameter_mm,
            cases=trials.cases,
        )
        assert rod.contrast_hu.ci_low > 0.0
        held += rod.contrast_hu.ci_low < trials.rod.contrast_hu < rod.contrast_hu.ci_high
        assert 0.1 < rod.cnr.value < 0.8
        assert rod.ttf50_per_mm is None  # the standard error exceeds a tenth before it has fallen so far
        assert rod.d_npw is None
    assert held >= 3
