"""Scans of a table, read by an observer: cross-validated AUCs, pairs by raw data, and one line for each mistake."""

import re
from pathlib import Path

import numpy as np
import pytest

from taskct.apply.curves import CurvePlan, Reader, curves_of_table
from taskct.errors import UserError
from taskct.metrics.dose_areas import DoseCell

SIDE = 9
LCD = Path(__file__).parents[3] / "shared" / "data" / "lcd_ct_small"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def table(tmp_path):
    """Ten scans of a class at two doses: A; B, which is A with half of its noise; and C of other raw data."""
    rng = np.random.default_rng(0)
    lines = ["reconstruction,dose,present,absent,diameter_mm"]
    signal = np.zeros((SIDE, SIDE), dtype=np.float32)
    signal[3:6, 3:6] = 12.0
    for dose in (25, 100):
        paths: dict[str, list[str]] = {}
        for kind, present in (("present", 1.0), ("absent", 0.0)):
            noise = rng.normal(0.0, 200.0 / dose**0.5, (10, SIDE, SIDE))
            other = rng.normal(0.0, 200.0 / dose**0.5, noise.shape)
            for name, seen in (("A", noise), ("B", 0.5 * noise), ("C", other)):
                path = tmp_path / f"{name}-{dose}-{kind}.npy"
                np.save(path, (seen + present * signal).astype(np.float32))
                paths.setdefault(name, []).append(path.name)
        lines += [f"{name},{dose},{both[0]},{both[1]},3" for name, both in paths.items()]
    path = tmp_path / "scans.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_scans_are_read_and_paired_where_they_are_of_the_same_raw_data(table):
    found = curves_of_table(table, reader=Reader(n_channels=3), plan=CurvePlan(margin=0.1))
    assert found.areas.reconstructions == ["A", "B", "C"]
    assert found.sizes["3 mm"].diameter_mm == 3.0
    at = {cell.reconstruction: i for i, cell in enumerate(found.areas.cells) if cell.dose == 25.0}
    covariance = found.areas.covariance
    correlation = covariance[at["A"], at["B"]] / np.sqrt(covariance[at["A"], at["A"]] * covariance[at["B"], at["B"]])
    assert 0.2 < correlation <= 1.0
    assert covariance[at["A"], at["C"]] == 0.0
    other_dose = found.areas.cells.index(DoseCell("A", 100.0, "3 mm"))
    assert covariance[at["A"], other_dose] == 0.0
    said = " ".join(found.notes)
    assert "A and C, dose 25: their noise correlates by" in said
    assert "A and B" not in said
    assert found.areas.auc[at["B"]] > found.areas.auc[at["A"]]
    assert found.areas.n_scans.tolist() == [[10, 10]] * 6


def test_another_seed_moves_the_auc_no_further_than_its_error(table):
    first, second = (curves_of_table(table, reader=Reader(n_channels=3), plan=CurvePlan(seed=s)) for s in (0, 1))
    moved = np.abs(first.areas.auc - second.areas.auc)
    assert (moved <= 2.0 * np.sqrt(first.areas.variance) + 1e-9).all()


def test_what_does_not_fit_is_one_line(table, tmp_path):
    for reader, message in (
        (Reader(observer="npwe", n_channels=3), "has no channels"),
        (Reader(observer="npwe"), "give --pixel-mm"),
        (Reader(phantom="cct189"), "give --pixel-mm"),
        (Reader(window_mm=20.0), "window_mm is for a phantom"),
        (Reader(phantom="none", pixel_mm=1.0), "none"),
        (Reader(observer="nobody"), "nobody"),
    ):
        with pytest.raises(UserError, match=message) as error:
            curves_of_table(table, reader=reader)
        assert "\n" not in str(error.value)
    lone = tmp_path / "lone.csv"
    lone.write_text("reconstruction,dose,present,absent\nA,10,A-25-present.npy,\n")
    with pytest.raises(UserError, match="absent is empty"):
        curves_of_table(lone)
    np.save(tmp_path / "small.npy", np.zeros((10, 4, 4), dtype=np.float32))
    lone.write_text("reconstruction,dose,present,absent\nA,10,A-25-present.npy,small.npy\n")
    with pytest.raises(UserError, match="images of one size"):
        curves_of_table(lone)
    lone.write_text("reconstruction,dose,present,absent\nA,10,A-25-present.npy,nowhere.npy\n")
    with pytest.raises(UserError, match="no such file"):
        curves_of_table(lone)


@pytest.mark.slow
@pytest.mark.skipif(not LCD.is_dir(), reason=f"{LCD} is not there")
def test_low_contrast_phantom_of_ten_repeats(tmp_path):
    """FBP and a deep-learning denoiser at 10, 55 and 100 %: what ten repeats tell, and what they do not.

    The layout and the table are those of docs/phantom.md; the numbers those of docs/curves.md.
    """
    page = (DOCS / "phantom.md").read_text(encoding="utf-8")
    for name, language in (("twin.yaml", "yaml"), ("scans.csv", "csv")):
        (text,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for folder in ("fbp", "DL_denoised"):
        (tmp_path / folder).symlink_to(LCD / folder)
    reader = Reader(n_channels=5, phantom=str(tmp_path / "twin.yaml"), pixel_mm=0.64453125)
    found = curves_of_table(tmp_path / "scans.csv", reader=reader, plan=CurvePlan("FBP", (), 0.05))
    assert found.rods == ["3 mm, 14 HU", "5 mm, 7 HU", "7 mm, 5 HU", "10 mm, 3 HU", "all rods"]
    assert found.sizes["10 mm, 3 HU"].contrast_hu == 3.0
    said = " ".join(found.notes)
    assert "diameter 150.0 mm" in said
    assert "other raw data" in said  # the noise of FBP and network is not the same
    assert "10 scans of a class" in said
    # By rod a dose at equal AUC is nowhere told with both bounds.
    assert all(one.told != "interval" for one in found.equal if one.rod != "all rods")
    whole = next(one for one in found.equal if one.rod == "all rods" and one.reference_dose == 100.0)
    assert whole.ci_low == 0.0
    assert f"from below 10 % to {whole.ci_high:.0f} %" in (DOCS / "curves.md").read_text(encoding="utf-8")
    assert f"with {whole.dose:.0f} % of the dose" in (DOCS / "curves.md").read_text(encoding="utf-8")
