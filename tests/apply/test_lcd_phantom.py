"""The tutorial's evaluation of a published data set: a phantom, FBP and a network, three doses, ten repeats.

The data are no part of taskct: `shared/data/lcd_ct_small` beside the repository, CC0, from github.com/DIDSR/LCD_CT.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from command_line import call
from taskct.apply.curves import CurvePlan, Reader, curves_of_table
from taskct.apply.phantom import find_layout, find_phantom, rod_contrasts, rod_trials
from taskct.cli.curves_results import print_curves
from taskct.errors import UserError
from taskct.io import RawWords, read_images

__all__ = ["call"]  # a fixture

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "lcd_ct_small"
PAGE = ROOT / "docs" / "phantom.md"
WORDS = {"fbp": RawWords(offset=-1000.0), "DL_denoised": RawWords(offset=31768.0)}
PIXEL_MM = 165.0 / 256.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the phantom's scans are not at {DATA}"),
]


def blocks(language: str) -> list[str]:
    """Fenced blocks of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def scans(kind: str, dose: str, rods: str) -> np.ndarray:
    folder = DATA / kind / f"dose_{dose}" / f"signal_{rods}"
    return read_images(folder / f"signal_{rods}.mhd", words=WORDS[kind]).images


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """The layout that the page writes."""
    path = tmp_path_factory.mktemp("layout") / "twin.yaml"
    (text,) = blocks("yaml")
    path.write_text(text, encoding="utf-8")
    return find_layout(path)


@pytest.mark.parametrize(("kind", "middle"), [("fbp", 127.5), ("DL_denoised", 127.75)])
@pytest.mark.parametrize("dose", ["010", "055", "100"])
def test_the_axis_is_found_at_every_dose(layout, kind, middle, dose) -> None:
    """To 0.01 pixels: the network's images lie a quarter of a pixel lower and further right than those of FBP."""
    found = find_phantom(scans(kind, dose, "present"), layout, pixel_mm=PIXEL_MM, roll_deg=0.0)
    assert found.centre_px == pytest.approx((middle, middle), abs=0.01)
    assert 2.0 * found.radius_px * PIXEL_MM == pytest.approx(150.0, abs=0.1)


@pytest.mark.parametrize("kind", WORDS)
def test_the_roll_and_the_rods_are_found_at_full_dose(layout, kind) -> None:
    """The truth has no roll and the rods' nominal contrast, less what 0.64 mm pixels and a kernel blur of 3 mm."""
    images = scans(kind, "100", "present")
    found = find_phantom(images, layout, pixel_mm=PIXEL_MM)
    assert abs(found.roll_deg) < 0.5
    assert found.contrast_scale == pytest.approx(1.0, abs=0.15)
    for one in rod_contrasts(images, found):
        assert abs(one.contrast_hu - one.rod.contrast_hu) < 4.0 * one.standard_error_hu
    with pytest.raises(UserError, match=r"the rods of layout .* stand out by"):
        find_phantom(scans(kind, "100", "absent"), layout, pixel_mm=PIXEL_MM)


def test_the_truth_is_a_phantom_of_150_mm(layout) -> None:
    """Not of 200 mm: with its true pixels the full phantom is refused, and so is the smaller one with larger pixels."""
    truth = np.fromfile(DATA / "fbp" / "ground_truth.raw", "<u2").reshape(256, 256) - 1000.0
    found = find_phantom(truth, layout, pixel_mm=PIXEL_MM)
    assert found.centre_px == pytest.approx((127.5, 127.5), abs=0.01)
    assert abs(found.roll_deg) < 0.01
    for one, (area_px, away_px) in zip(layout.rods, areas(truth, layout), strict=True):
        assert 2.0 * np.sqrt(area_px / np.pi) * PIXEL_MM == pytest.approx(one.diameter_mm, rel=0.015)
        assert away_px * PIXEL_MM == pytest.approx(30.0, abs=0.1)
    with pytest.raises(UserError, match=r"radius of 116\.\d pixels, where the layout has 155\.2 \(-25"):
        find_phantom(truth, find_layout("cct189"), pixel_mm=PIXEL_MM)


def areas(truth, layout):
    """Area of each rod, pixels, and its distance from the axis, from what it adds to the water."""
    rows, columns = np.indices(truth.shape)
    for rod in layout.rods:
        angle = np.radians(rod.angle_deg)
        near = np.hypot(rows - 127.5 - 46.5 * np.sin(angle), columns - 127.5 - 46.5 * np.cos(angle)) < 14.0
        added = np.where(near, truth, 0.0)
        middle = [float((added * place).sum() / added.sum()) - 127.5 for place in (rows, columns)]
        yield added.sum() / rod.contrast_hu, np.hypot(*middle)


def test_the_two_reconstructions_are_not_of_the_same_scans() -> None:
    """What is said to be denoised shares no noise with what is said to be its input: correlations are those of chance.

    13,456 pixels of ramp noise; 0.06 is seven standard deviations of white noise.
    """
    inner = (slice(None), slice(70, 186), slice(70, 186))
    for rods in ("present", "absent"):
        first, second = (scans(kind, "100", rods)[inner].reshape(10, -1) for kind in WORDS)
        assert np.abs(np.corrcoef(first, second)[:10, 10:]).max() < 0.06


def test_regions_are_cut_where_the_rods_are(layout) -> None:
    found = find_phantom(scans("DL_denoised", "100", "present"), layout, pixel_mm=PIXEL_MM)
    for kind in WORDS:
        for trials in rod_trials(
            scans(kind, "055", "present"), scans(kind, "055", "absent"), layout, pixel_mm=PIXEL_MM, found=found
        ):
            assert trials.images.shape[0] == 20
            assert trials.cases.tolist() == list(range(20))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The data as the page has them, with the files that it writes, as the folder of work."""
    for kind in WORDS:
        (tmp_path / kind).symlink_to(DATA / kind)
    for name, language in (("twin.yaml", "yaml"), ("scans.csv", "csv")):
        (text,) = blocks(language)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_says_what_its_code_prints(folder, capsys) -> None:
    (code,) = blocks("python")
    exec(compile(code, "phantom.md", "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]
    assert (folder / "found.png").stat().st_size > 10_000


def test_the_page_says_what_its_command_prints(folder, capsys) -> None:
    """The AUCs of the page and their intervals, line by line."""
    reader = Reader("cho-lg", 5, None, "twin.yaml", None, 0.64453125)
    found = curves_of_table(Path("scans.csv"), reader=reader, plan=CurvePlan("FBP", (), 0.05))
    print_curves(found, dose_unit="%")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    wanted = [line.split() for line in blocks("text")[1].splitlines()]
    assert len(wanted) == 16
    assert [line for line in wanted if line not in lines] == []


def test_the_page_says_what_observe_prints(folder, call) -> None:
    """The command that the page has, and its table of rods."""
    command = re.search(
        r"^    taskct (observe .*?)(?<!\\)\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert command is not None
    code, out, err = call(*command[1].replace("\\\n", " ").split())
    assert code == 0, err
    printed = [line.split() for line in out.splitlines()]
    assert [line for line in blocks("text")[2].splitlines() if line.split() not in printed] == []
    plan = " ".join(out.split())
    assert "3 mm, 14 HU, cho-lg: an interval of 0.1 (AUC) takes 67 scans" in plan
    assert "3 mm, 14 HU, cho-lg: an interval of 0.1 (AUC, exact) takes 14 scans" in plan
    assert (folder / "observed" / "phantom.png").is_file()
