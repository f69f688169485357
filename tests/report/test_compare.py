import json
import math
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.roc import delong_covariance, paired_delong
from taskct.report import load_run, write_comparison
from taskct.report.compare import Compared, difference, limit_difference, share_trials


class Cells(HTMLParser):
    """Rows of all tables of a page."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


@pytest.fixture
def two(written, tmp_path):
    """Two studies of the same test trials, one with a gain and one without, and copies that may be changed."""
    folders = []
    for name, options in (("a", {}), ("b", {"gain": False})):
        folder = shutil.copytree(written(**options), tmp_path / name)
        told = json.loads((folder / "provenance.json").read_text())
        told["stages"]["results"].pop("digests", None)
        (folder / "provenance.json").write_text(json.dumps(told))
        folders.append(folder)
    return folders


def _compared(folders):
    return [Compared(letter, load_run(folder)) for letter, folder in zip("AB", folders, strict=True)]


def _digest(folder, value):
    told = json.loads((folder / "provenance.json").read_text())
    digests = told["stages"]["simulate"]["digests"]
    told["stages"]["simulate"]["digests"] = {
        name: value if name.startswith("trials/test/") else digest for name, digest in digests.items()
    }
    (folder / "provenance.json").write_text(json.dumps(told))


def test_shared_trials_are_told_by_digests_and_paired(two):
    a, b = _compared(two)
    assert share_trials(a, b)  # drawn from one seed
    scores = [one.run.scores["mse", 0, "ho"] for one in (b, a)]
    wanted = paired_delong(np.stack([s.present for s in scores]), np.stack([s.absent for s in scores]), a.clusters)
    found = difference(a, b, "mse", "ho")
    assert (found.value, found.ci_low, found.ci_high) == (wanted.delta_auc, wanted.ci_low, wanted.ci_high)
    assert a.clusters.n == 200


def test_other_trials_are_unpaired_and_said_so(two, tmp_path):
    _digest(two[1], "0" * 32)
    a, b = _compared(two)
    assert not share_trials(a, b)
    found = difference(a, b, "lambda=0.9", "ho")
    scores = [one.run.scores["lambda=0.9", 0, "ho"] for one in (a, b)]
    variance = sum(delong_covariance(s.present[None], s.absent[None], a.clusters)[0, 0] for s in scores)
    assert found.ci_high - found.ci_low == pytest.approx(2 * 1.959964 * math.sqrt(variance))
    page = write_comparison(two, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "B was tested on other trials than A: differences are unpaired" in page
    shown = f"{found.value:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"
    rows = Cells(page).rows
    assert any(row[0].replace("λ = ", "") == "0.9" and shown in row for row in rows)


def test_without_digests_nothing_is_taken_as_shared(two):
    for folder in two:
        told = json.loads((folder / "provenance.json").read_text())
        told["stages"]["simulate"].pop("digests")
        (folder / "provenance.json").write_text(json.dumps(told))
    assert not share_trials(*_compared(two))


def test_settings_that_differ_are_shown_alone(two, tmp_path):
    settings = (two[1] / "study.yaml").read_text()
    (two[1] / "study.yaml").write_text(settings.replace("pretrain_epochs: 6", "pretrain_epochs: 60"))
    rows = Cells(write_comparison(two, tmp_path / "page.html").read_text(encoding="utf-8")).rows
    at = next(i for i, row in enumerate(rows) if row[0] == "Setting")
    assert rows[at : at + 2] == [["Setting", "A", "B"], ["training.pretrain_epochs", "6", "60"]]
    assert len(rows[at + 2]) != 3  # the next table


def test_limits_are_compared_where_both_have_them(two):
    interval = {"value": 0.8, "ci_low": 0.77, "ci_high": 0.83}
    for folder, value in zip(two, (0.8, 0.85), strict=True):
        limit = {"value": value, "ci_low": value - 0.03, "ci_high": value + 0.03}
        row = {
            "arm": "mse",
            "seed": 0,
            "observer": "ho",
            "n_fresh": 9,
            "auc": interval,
            "limit": limit,
            "why_not": None,
        }
        (folder / "limits.json").write_text(json.dumps({"rows": [row], "paired": [], "how": ""}))
    a, b = _compared(two)
    found = limit_difference(a, b, "mse", "ho")
    assert found.value == pytest.approx(0.05)
    assert found.ci_low == pytest.approx(0.05 - 0.03 * math.sqrt(2))
    assert limit_difference(a, b, "mse", "slnn") is None


def test_every_run_stands_against_its_own_control(two, tmp_path):
    rows = Cells(write_comparison(two, tmp_path / "page.html").read_text(encoding="utf-8")).rows
    for letter, folder in zip("AB", two, strict=True):
        paired = json.loads((folder / "summary.json").read_text())["paired"]
        (row,) = [r for r in paired if (r["arm"], r["versus"], r["observer"]) == ("lambda=0.9", "lambda=0", "ho")]
        shown = f"{row['delta_auc']:+.3f} ["
        assert any(cells[0] == letter and any(cell.startswith(shown) for cell in cells) for cells in rows)


@pytest.mark.parametrize(("pick", "said"), [((0,), "1 run folder: give 2 to 26"), ((0, 0), "is given twice")])
def test_what_cannot_be_compared(two, tmp_path, pick, said):
    with pytest.raises(UserError, match=said):
        write_comparison([two[i] for i in pick], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_name_is_shown_as_it_is(written, two, tmp_path):
    evil = written(study="<script>alert(1)</script>")
    page = write_comparison([evil, two[1]], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert str(tmp_path) not in page


def test_a_run_without_limits_is_marked_beside_one_with_them(two, tmp_path):
    delta = {"value": 0.0421, "ci_low": 0.04, "ci_high": 0.05}
    pair = {"arm": "lambda=0.9", "versus": "lambda=0", "observer": "ho", "seed": 0, "delta": delta, "p_value": 0.01}
    auc = {"value": 0.8, "ci_low": 0.77, "ci_high": 0.83}
    row = {"arm": "lambda=0.9", "seed": 0, "observer": "ho", "n_fresh": 9, "auc": auc, "limit": auc}
    (two[0] / "limits.json").write_text(json.dumps({"rows": [row], "paired": [pair], "how": ""}))
    rows = Cells(write_comparison(two, tmp_path / "page.html").read_text(encoding="utf-8")).rows
    head = next(row for row in rows if row[:3] == ["Run", "Arm", "RMSE / control"])
    at = head.index("ΔAUC, fresh HO")
    cells = {row[0]: row[at] for row in rows if row[1:2] == ["λ = 0.9"] and len(row) == len(head)}
    assert not cells["A"].endswith("*")
    assert cells["B"].endswith("*")


def test_settings_shown_alike_are_not_told_as_different(two, tmp_path):
    study = two[0] / "study.yaml"
    study.write_text(study.read_text() + "\nnothing: null\n")
    rows = Cells(write_comparison(two, tmp_path / "page.html").read_text(encoding="utf-8")).rows
    assert not any(row[0] == "nothing" for row in rows)
