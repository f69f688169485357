"""Two sets of images that are other scans are told from one scan before and after a denoiser."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from taskct.apply.observe import Eye, Task, observe
from taskct.apply.observe.shared_noise import other_scans
from taskct.io import RawWords, read_images
from taskct.io.stored_images import StoredImages
from taskct.io.truth_table import Truth

LCD = Path(__file__).parents[3] / "shared" / "data" / "lcd_ct_small"
N, SIDE = 40, 32
PRESENT = np.arange(N) < N // 2


def scans(seed):
    images = np.random.default_rng(seed).normal(0.0, 20.0, (N, SIDE, SIDE))
    images[PRESENT, 12:20, 12:20] += 15.0
    return images.astype(np.float32)


def found(one, other):
    return other_scans(StoredImages([one]), StoredImages([other]), PRESENT)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0])
def test_a_denoiser_keeps_some_noise(sigma):
    one = scans(0)
    denoised = np.stack([gaussian_filter(image, sigma) for image in one])
    assert found(one, denoised) is None


def test_other_scans_share_none():
    """A mean above three standard errors by chance is one false alarm of about 740; the seeds are fixed."""
    assert [abs(found(scans(0), scans(seed))) < 0.03 for seed in range(1, 9)] == [True] * 8


def test_structure_that_differs_from_case_to_case_is_shared():
    anatomy = np.random.default_rng(50).normal(0.0, 20.0, (N, 1, SIDE)).astype(np.float32)
    assert found(scans(0) + anatomy, scans(1) + anatomy) is None


def test_it_is_said_of_the_images_compared_with():
    for other, said in ((scans(1), True), (scans(0) * 0.9, False)):
        eye = Eye(0.7, 500.0, 1.0, 3.0)
        notes = observe(scans(0), Task(Truth(PRESENT, None, None, None)), ["npw"], versus=other, eye=eye).notes
        assert any("of other scans" in note for note in notes) == said


@pytest.mark.skipif(not LCD.is_dir(), reason="the data set lcd_ct_small is not beside the checkout")
def test_the_public_denoised_images_are_of_other_scans():
    words = {"fbp": RawWords(offset=-1000.0), "DL_denoised": RawWords(offset=31768.0)}
    classes = ("signal_present", "signal_absent")
    stacks = [
        np.concatenate([read_images(LCD / kind / "dose_055" / name, how).images[:, 64:192, 64:192] for name in classes])
        for kind, how in words.items()
    ]
    assert abs(other_scans(*(StoredImages([stack]) for stack in stacks), np.arange(20) < 10)) < 0.01
