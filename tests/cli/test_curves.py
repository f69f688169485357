"""`taskct curves`: its page, its files, and what it refuses."""

import csv
import json

import numpy as np
import pytest
from scipy import ndimage

from command_line import call, refused
from taskct.apply.curves import curves_of_table
from taskct.cli.curves_figure import curves_figure
from taskct.cli.curves_page import equal_dose_sentence
from taskct.cli.physics_section import rod_physics_table
from taskct.metrics.dose_curves import EqualDose
from taskct.report.tables import NONE
from taskct.tasks.backgrounds.phantom import Phantom

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


def test_physics_of_rods_against_dose(call, tmp_path):
    """CNR rises with the root of dose; a blur lowers resolution and the frequency of the noise; the page says so."""
    rng, lines = np.random.default_rng(5), ["reconstruction,dose,present,absent"]
    for dose, noise_hu in ((25, 2.0), (100, 1.0)):
        for kind in ("present", "absent"):
            twin = Phantom(n_pixels=160, pixel_mm=1.5, layout="cct189", rods=kind == "present")
            hu = twin.draw(np.random.default_rng(dose), np.arange(12)).total_hu(1.5)
            hu = hu + rng.normal(0.0, noise_hu, hu.shape)
            np.save(tmp_path / f"sharp_{dose}_{kind}.npy", hu.astype(np.float32))
            smooth = ndimage.gaussian_filter(hu, (0, 1.0, 1.0))
            np.save(tmp_path / f"smooth_{dose}_{kind}.npy", smooth.astype(np.float32))
        lines += [f"{name},{dose},{name}_{dose}_present.npy,{name}_{dose}_absent.npy" for name in ("sharp", "smooth")]
    (tmp_path / "scans.csv").write_text("\n".join(lines))
    out = tmp_path / "found"
    command = ["curves", tmp_path / "scans.csv", "--phantom", "cct189", "--pixel-mm", 1.5, "--observer", "npw"]
    code, said, err = call(*command, "--out", out)
    assert code == 0, err
    assert {"physics.csv", "physics.svg", "physics.png"} <= {path.name for path in out.iterdir()}
    physics = json.loads((out / "curves.json").read_text())["physics"]
    of = {(one["reconstruction"], one["dose"], one["rod"]): one for one in physics}
    assert len(of) == 2 * 2 * 4
    rod = "10 mm, 3 HU"
    for dose, noise_hu in ((25.0, 2.0), (100.0, 1.0)):
        assert of["sharp", dose, rod]["cnr"]["ci_low"] < 3.0 / noise_hu < of["sharp", dose, rod]["cnr"]["ci_high"]
        assert of["smooth", dose, rod]["cnr"]["value"] > 2.0 * of["sharp", dose, rod]["cnr"]["value"]
        mean = {name: of[name, dose, rod]["nps_mean_per_mm"] for name in ("sharp", "smooth")}
        assert mean["sharp"]["value"] == pytest.approx(1.0 / 6.0, rel=0.08)  # white: half of Nyquist
        assert mean["smooth"]["ci_high"] < mean["sharp"]["ci_low"]
    # of a Gaussian of 1.5 mm with pixels of 1.5 mm
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * 1.5 * np.sqrt(1.0 + 1.0 / 12.0))
    assert of["smooth", 100.0, rod]["ttf50_per_mm"]["value"] == pytest.approx(half, rel=0.2)
    rows = list(csv.DictReader((out / "physics.csv").read_text().splitlines()))
    shown = next(row for row in rows if (row["reconstruction"], row["dose"], row["rod"]) == ("sharp", "100", rod))
    assert float(shown["cnr"]) == pytest.approx(of["sharp", 100.0, rod]["cnr"]["value"], rel=1e-5)
    page = (out / "curves.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "Physics of the rods" in page
    cnr = of["sharp", 100.0, rod]["cnr"]
    text = f"{cnr['value']:.2f} [{cnr['ci_low']:.2f}, {cnr['ci_high']:.2f}]"
    assert text in page
    assert text in said


def test_rods_that_cannot_be_measured_say_why():
    table = rod_physics_table({"small": {"why_not": "2 scans: too few"}}, "all scans")
    assert "2 scans: too few" in table.caption
    assert table.rows[0][1:] == [NONE] * 8


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
