"""Observe tells the physics of the images in its JSON and on its page."""

import json

import numpy as np
import pytest
from scipy import ndimage

from command_line import call
from taskct.tasks.backgrounds.phantom import Phantom

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


def test_rods_of_a_phantom_have_theirs(tmp_path, call):
    rng = np.random.default_rng(2)
    for name, rods in (("present", True), ("absent", False)):
        twin = Phantom(n_pixels=160, pixel_mm=1.5, layout="cct189", rods=rods)
        hu = twin.draw(np.random.default_rng(rods), np.arange(8)).total_hu(1.5) + rng.normal(0.0, 1.0, (8, 160, 160))
        np.save(tmp_path / f"{name}.npy", hu.astype(np.float32))
    command = ["observe", "--phantom", "cct189", "--observers", "npw", "--pixel-mm", "1.5"]
    command += ["--present", tmp_path / "present.npy", "--absent", tmp_path / "absent.npy"]
    code, out, err = call(*command, "--json", "--out", tmp_path / "out")
    assert code == 0, err
    told = json.loads(out)
    largest = told["physics"]["10 mm, 3 HU"]
    assert largest["contrast_hu"]["value"] == pytest.approx(3.0, abs=0.6)
    assert largest["cnr"]["value"] == pytest.approx(3.0, abs=0.6)
    assert "Physics of the rods" in (tmp_path / "out" / "observe.html").read_text(encoding="utf-8")
    rod = next(iter(told["rods"].values()))
    assert rod["physics"]["sets"]["images"]["noise_hu"]["value"] == pytest.approx(1.0, rel=0.15)
    for name in ("present", "absent"):
        smooth = ndimage.gaussian_filter(np.load(tmp_path / f"{name}.npy"), (0, 1, 1))
        np.save(tmp_path / f"{name}_smooth.npy", smooth)
    command += ["--versus", tmp_path / "present_smooth.npy", "--versus", tmp_path / "absent_smooth.npy"]
    code, out, err = call(*command, "--out", tmp_path / "two")
    assert code == 0, err
    assert "Physics of the rods, the first scans" in out
    assert "Physics of the rods, versus" in out
    told = json.loads((tmp_path / "two" / "observe.json").read_text(encoding="utf-8"))
    assert told["physics"]["10 mm, 3 HU"] == largest
    cnr = told["physics_of_rivals"]["versus"]["10 mm, 3 HU"]["cnr"]
    assert cnr["ci_low"] > largest["cnr"]["ci_high"]
    assert f"{cnr['value']:.2f} [{cnr['ci_low']:.2f}, {cnr['ci_high']:.2f}]" in out
