"""`taskct curves`: its page, its files, and what it refuses."""

import csv
import json

import numpy as np
import pytest

from command_line import call, refused
from taskct.apply.curves import curves_of_table
from taskct.cli.curves_figure import curves_figure
from taskct.cli.curves_page import equal_dose_sentence
from taskct.metrics.dose_curves import EqualDose

__all__ = ["call", "refused"]  # fixtures


@pytest.fixture
def table(tmp_path):
    """Test statistics of two reconstructions at three doses of two rods; one has a name that a page must not obey."""
    rng, path = np.random.default_rng(3), tmp_path / "scores.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["reconstruction", "dose", "rod", "diameter_mm", "contrast_hu", "scan", "signal_present", "score"]
        )
        for dose in (10, 50, 100):
            for rod, diameter in (("small", 3), ("<b>large</b>", 10)):
                for present in (1, 0):
                    common = rng.normal(size=30)
                    for name, gain in (("FBP", 1.0), ("$DL", 1.3)):
                        score = common + 0.5 * rng.normal(size=30) + present * 0.15 * gain * dose**0.5
                        for i, value in enumerate(score):
                            writer.writerow([name, dose, rod, diameter, 14, f"{dose} {present} {i}", present, value])
    return path


def test_page_files_and_terminal_say_the_same(call, table, tmp_path):
    out = tmp_path / "found"
    code, said, err = call("curves", table, "--out", out, "--margin", 0.1, "--dose-unit", "%", "--seed", 1)
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == {
        "curves.html",
        "curves.json",
        "curves.csv",
        "dose.csv",
        "curves.svg",
        "curves.png",
    }
    content = json.loads((out / "curves.json").read_text())
    page = (out / "curves.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert content["reference"] == "FBP"
    assert content["rivals"] == ["$DL"]
    assert content["dose_unit"] == "%"
    assert "<b>large</b>" not in page
    assert "&lt;b&gt;large&lt;/b&gt;" in page
    rows = list(csv.DictReader((out / "dose.csv").read_text().splitlines()))
    pooled = next(row for row in rows if row["rod"] == "all rods" and row["reference_dose"] == "100")
    shown = f"{pooled['dose']} [{pooled['dose_ci_low']}, {pooled['dose_ci_high']}]"
    assert shown.replace("<", "&lt;").replace(">", "&gt;") in page
    assert shown in said
    assert len(content["points"]) == 2 * 3 * 3
    assert len(content["noninferiority"]) == 6
    for point in content["points"]:
        low, high = point["auc"]["ci_low"], point["auc"]["ci_high"]
        assert f"{point['auc']['value']:.3f} [{low:.3f}, {high:.3f}]" in page


def test_same_seed_gives_the_same_numbers_and_json_is_printed(call, table, tmp_path):
    found = []
    for number in range(2):
        code, said, err = call("curves", table, "--out", tmp_path / str(number), "--json", "--reference", "$DL")
        assert code == 0, err
        found.append(json.loads(said))
    assert found[0] == found[1]
    assert found[0]["reference"] == "$DL"
    assert (tmp_path / "0" / "curves.svg").read_bytes() == (tmp_path / "1" / "curves.svg").read_bytes()


def test_what_does_not_go_together_is_refused_in_one_line(refused, table, tmp_path):
    out = tmp_path / "out"
    assert "no such file" in refused("curves", tmp_path / "none.csv", "--out", out)
    assert "no reconstruction 'x'" in refused("curves", table, "--out", out, "--reference", "x")
    assert "give one table" in refused("curves", table, table, "--out", out)
    assert "--arm is for run folders" in refused("curves", table, "--out", out, "--arm", "mse")
    assert "test statistics" in refused("curves", table, "--out", out, "--phantom", "cct189")
    assert "margin is 2" in refused("curves", table, "--out", out, "--margin", 2)
    assert not out.exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("x")
    assert "nothing is overwritten" in refused("curves", table, "--out", full)
    assert [path.name for path in full.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ((45.0, 30.0, 70.0), "with a dose of 45 [30, 70] %: a ratio of 0.45 [0.3, 0.7]."),
        ((12.0, 0.0, 38.0), "with at most 38 %, a ratio of at most 0.38; the interval reaches below 10 %"),
        (
            (80.0, 40.0, np.inf),
            "with no less than 40 %, a ratio of no less than 0.4; the interval reaches beyond 100 %",
        ),
        ((50.0, 0.0, np.inf), "These scans do not tell with what dose B reaches"),
        ((np.inf, np.inf, np.inf), "does not reach the AUC of A at a dose of 100 % (0.800), not with 100 % either"),
        ((0.0, 0.0, 0.0), "with less than 10 %, the lowest of its doses"),
    ],
)
def test_the_answer_says_what_is_told_and_no_more(bounds, said):
    one = EqualDose("A", "B", "all rods", 100.0, 0.8, *bounds, 10.0, 100.0)
    assert said in equal_dose_sentence(one, " %")


def test_one_dose_shows_its_intervals_and_long_names_stand_in_the_picture_whole(tmp_path) -> None:
    """A band over one dose has no width; a legend that is wider than the picture would be cut off."""
    rng = np.random.default_rng(5)
    lines = ["reconstruction,dose,signal_present,score"]
    names = ["a reconstruction whose name has many words, by a vendor with another long name of its own", "B"]
    lines += [f'"{name}",10,{t},{rng.normal() + t}' for name in names for t in (0, 1) for _ in range(20)]
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = curves_of_table(path)
    figure = curves_figure(found)
    (bars,) = {len(ax.collections) for ax in figure.axes}
    assert bars == len(names)
    low, high = figure.axes[0].collections[0].get_segments()[0][:, 1]
    first = next(one for one in found.points if one.cell.reconstruction == names[0])
    assert (low, high) == pytest.approx((first.auc.ci_low, first.auc.ci_high))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0.0
    assert box.x1 <= figure.bbox.x1
