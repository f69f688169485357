"""`taskct observe --phantom`: rods of a twin are found and observed, with rivals, and what is refused."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from command_line import call, refused
from taskct.tasks.backgrounds.phantom import Phantom

__all__ = ["call", "refused"]  # fixtures

N, SIDE, NOISE_HU = 10, 192, 4.0
LAYOUT = """diameter_mm: 160
rods:
  - {name: large, diameter_mm: 16, contrast_hu: 12, radius_mm: 45, angle_deg: -30}
  - {name: small, diameter_mm: 8, contrast_hu: 20, radius_mm: 45, angle_deg: 100}
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Stacks of scans with and without rods, at two noise levels, and the layout."""
    folder = tmp_path_factory.mktemp("phantom")
    (folder / "mine.yaml").write_text(LAYOUT)
    rng = np.random.default_rng(0)
    for name, rods in (("rods", True), ("water", False)):
        twin = Phantom(n_pixels=SIDE, pixel_mm=1.0, layout=str(folder / "mine.yaml"), rods=rods)
        clean = twin.draw(rng, np.arange(1)).total_hu(1.0)
        images = clean + rng.normal(0.0, NOISE_HU, (N, SIDE, SIDE))
        np.save(folder / f"{name}.npy", images.astype(np.float32))
        noisier = images + rng.normal(0.0, 120.0, images.shape)
        np.save(folder / f"low-{name}.npy", noisier.astype(np.float32))
    return folder


def asked(scans, *more):
    given = ("--phantom", scans / "mine.yaml", "--pixel-mm", 1.0, "--observers", "cho-lg", "--channels", 3)
    return ("observe", *given, "--present", scans / "rods.npy", *more)


def test_each_rod_is_observed_and_held_against_a_rival(call, scans, tmp_path):
    both = f"low dose={scans / 'low-rods.npy'},{scans / 'low-water.npy'}"
    more = ("--absent", scans / "water.npy", "--versus", both, "--out", tmp_path / "found", "--window-mm", 25)
    code, out, err = call(*asked(scans, *more))
    assert code == 0, err
    assert "roll" in out
    content = json.loads((tmp_path / "found" / "observe.json").read_text())
    assert content["phantom"]["centre_px"] == pytest.approx([95.5, 95.5], abs=0.2)
    assert abs(content["phantom"]["roll_deg"]) < 1.0
    assert list(content["rods"]) == ["large", "small"]
    p_values, adjusted = [], []
    for rod in content["rods"].values():
        assert rod["image"]["height_px"] == 25
        assert rod["cross_validated"] is True
        found = rod["observers"]["cho-lg"]
        assert found["auc"] > found["rivals"]["low dose"]["versus"]["auc"]
        p_values.append(found["rivals"]["low dose"]["difference"]["p_value"])
        adjusted.append(found["rivals"]["low dose"]["difference"]["p_holm"])
    assert min(adjusted) == pytest.approx(2.0 * min(p_values))  # over both rods
    with Image.open(tmp_path / "found" / "phantom.png") as picture:
        assert picture.size[0] > 500
    assert (tmp_path / "found" / "rod-2" / "scores.csv").is_file()
    page = (tmp_path / "found" / "observe.html").read_text()
    assert "low dose" in page
    # The scan is shown as it is on a dark page too; each rod's page is a link; the notes stand there.
    assert '<img class="drawing"' not in page
    assert '<a href="rod-1/observe.html">' in page
    assert (tmp_path / "found" / "rod-1" / "observe.html").is_file()
    assert "What to know of these results" in page


def test_regions_of_one_scan_are_one_case(call, scans):
    code, out, err = call(*asked(scans, "--roll", 0, "--json"))
    assert code == 0, err
    content = json.loads(out)
    large = content["rods"]["large"]
    assert large["test"] == {"present": N, "absent": N, "cases": N}
    assert "two cases left out at a time" in large["observers"]["cho-lg"]["method"]
    assert large["observers"]["cho-lg"]["gaussian_auc"] is None  # the regions share a scan
    assert "the roll was given, not found" in err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--mode", "centred"), "--mode is not for --phantom"),
        (("--truth", "t.csv"), "--phantom takes scans with rods as --present"),
        (("--roll", "900"), "roll_deg is 900; it must be -360 to 360 degrees"),
        (("--window-mm", "4"), "a region of 4 mm is too small for rod"),
        (("--versus", "a=x,y"), "--versus a: give each set of images once"),
        (("--byte-order", "big", "--byte-order", "big"), "2 ways to read words"),
    ],
)
def test_what_does_not_go_with_a_phantom_is_one_line(refused, scans, more, message):
    assert re.search(message, refused(*asked(scans, *more)))


def test_a_roll_without_a_phantom_is_refused(refused, scans):
    line = refused("observe", "--present", scans / "rods.npy", "--absent", scans / "water.npy", "--roll", 3)
    assert "--roll and --window-mm are for scans of a phantom" in line
