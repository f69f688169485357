"""Observe tells the physics of the images in its JSON and on its page."""

import json

import numpy as np
import pytest
from scipy import ndimage

from command_line import call

__all__ = ["call"]  # a fixture


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24] - 11.5
    signal = 12.0 * (np.hypot(y, x) < 4.0)
    for name, add in (("present", signal), ("absent", 0.0)):
        images = 40.0 + rng.normal(0.0, 10.0, (60, 24, 24)) + add
        np.save(folder / f"{name}.npy", images.astype(np.float32))
        np.save(folder / f"{name}_smooth.npy", ndimage.gaussian_filter(images, (0, 1, 1)).astype(np.float32))
    return folder


def observe_npw(folders):
    both = ["--present", folders / "present.npy", "--absent", folders / "absent.npy"]
    return ["observe", "--observers", "npw", *both]


def test_noise_and_what_became_of_it(folders, tmp_path, call):
    command = [
        "observe",
        "--observers",
        "npw",
        "--present",
        folders / "present.npy",
        "--absent",
        folders / "absent.npy",
    ]
    command += ["--versus", folders / "present_smooth.npy", "--versus", folders / "absent_smooth.npy"]
    code, out, err = call(*command, "--pixel-mm", 0.7, "--json", "--out", tmp_path / "out")
    assert code == 0, err
    physics = json.loads(out)["physics"]
    assert physics["n_images"] == 60
    noise = physics["sets"]["images"]["noise_hu"]
    assert noise["ci_low"] < 10.0 < noise["ci_high"]
    ratio = physics["sets"]["versus"]["noise_ratio"]
    assert ratio["value"] == pytest.approx(1.0 / np.sqrt(4.0 * np.pi), rel=0.1)
    page = (tmp_path / "out" / "observe.html").read_text(encoding="utf-8")
    assert "Physics of the images" in page
    assert "Noise (HU)" in page
    told = json.loads((tmp_path / "out" / "observe.json").read_text(encoding="utf-8"))["physics"]
    assert told["sets"]["images"]["noise_hu"] == noise


def test_without_a_pixel_size_it_says_so(folders, tmp_path, call):
    command = [
        "observe",
        "--observers",
        "npw",
        "--present",
        folders / "present.npy",
        "--absent",
        folders / "absent.npy",
    ]
    assert call(*command, "--out", tmp_path / "out")[0] == 0
    assert "Not measured: the images do not tell their pixel size" in (tmp_path / "out" / "observe.html").read_text()
