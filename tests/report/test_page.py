import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.report import write_report

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes, table rows and text of a page; fails on tags that do not close."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.rows, self.text, self.open = [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open
        self.words = re.sub(r"\s+", " ", "".join(self.text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


@pytest.fixture(scope="module")
def page(run_folder):
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    assert path.stat().st_size < 6e6  # small enough to send
    return Page(path.read_text(encoding="utf-8"))


def test_page_loads_nothing_from_elsewhere(page):
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    for _, name, value in page.attributes:
        if name in ("src", "srcset", "data", "poster", "action"):
            assert value.startswith("data:image/")
        if name == "href":
            assert value.startswith("#")
    style = "".join(page.text)
    assert "url(" not in style
    assert "@import" not in style


def test_links_lead_somewhere(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = {value[1:] for _, name, value in page.attributes if name == "href"}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_every_figure_has_alt_text_and_a_caption(page):
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags.count("img") == page.tags.count("figcaption") == page.tags.count("figure") == 4
    assert all(len(alt) > 30 for alt in alts)


def _cell(estimate, digits, sign=""):
    value = estimate.get("value", estimate.get("auc", estimate.get("delta_auc")))

    def text(number):
        rounded = f"{number:{sign}.{digits}f}"
        return rounded.lstrip("+-") if float(rounded) == 0 else rounded

    return f"{text(value)} [{text(estimate['ci_low'])}, {text(estimate['ci_high'])}]"


def _label(name):
    words = {"lambda": "λ = {}", "alpha": "α = {}", "head": "{} head"}
    fixed = {"low-dose": "low-dose images", "mse": "MSE"}
    return fixed.get(name) or ", ".join(words[k].format(v) for k, v in (w.split("=") for w in name.split()))


def test_every_number_of_every_arm_is_there(page, run_folder):
    summary = json.loads((run_folder / "summary.json").read_text())
    for arm in summary["arms"]:
        quality, bias = arm["image_quality"], arm["hallucination"]
        observers = [arm["observers"].get(o) for o in ("slnn_joint", "slnn", "ho", "ho_eye")]
        assert [
            _label(arm["name"]),
            _cell(quality["rmse_hu"], 2),
            _cell(quality["psnr_db"], 2),
            _cell(quality["ssim"], 3),
            *("–" if o is None else _cell(o, 3) for o in observers),
        ] in page.rows
        wanted = [_cell(bias[key], 2, "+") for key in ("absent_bias_hu", "present_bias_hu")]
        assert [_label(arm["name"]), *wanted] in [[*row[:2], *row[3:4]] for row in page.rows]
    for row in summary["paired"]:
        found = [r for r in page.rows if r[:2] == [_label(row["arm"]), _label(row["versus"])]]
        assert len(found) == 1
        assert any(cell.startswith(_cell(row, 3, "+") + " p 0.020") for cell in found[0])


def test_settings_provenance_and_time(page):
    assert ["training.lambdas", "0, 0.5, 0.9"] in page.rows
    assert ["scanner.views", "720"] in page.rows
    assert ["torch", "2.13"] in page.rows
    assert ["evaluate", "1 h 03 min", "2026-01-05T10:00:00Z"] in page.rows


def test_headline_follows_the_numbers(page, no_gain_folder):
    none = Page(write_report(no_gain_folder).read_text(encoding="utf-8"))
    assert "No gain shown" in none.words
    assert "No gain shown" not in page.words


def test_text_is_escaped(make_run):
    run = make_run(study="<script>alert(1)</script> & co")
    task = json.loads((run / "task.json").read_text())
    (run / "task.json").write_text(json.dumps(task | {"description": "<img src=http://example.com/x>"}))
    (run / "study.yaml").write_text("name: '<script src=x>'\n")
    html = write_report(run).read_text(encoding="utf-8")
    page = Page(html)
    assert "script" not in page.tags
    assert page.tags.count("img") == 4
    assert "<script>alert(1)</script> & co" in page.words


def test_several_seeds_have_a_column(make_run):
    page = Page(write_report(make_run(n_seeds=2)).read_text(encoding="utf-8"))
    assert {row[1] for row in page.rows if row[0] == "λ = 0.9, α = 0.5" and len(row) == 9} == {"0", "1"}


def test_templates_may_be_missing(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        arrays = {k: v for k, v in file.items() if not k.startswith("template/")}
    np.savez(run / "examples.npz", **arrays)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags.count("img") == 3
    assert "#templates" not in [value for _, name, value in page.attributes if name == "href"]


@pytest.mark.parametrize("stage", ["write_text", "replace"])
def test_interrupted_write_leaves_the_old_report(make_run, monkeypatch, stage):
    run = make_run()
    (run / "report.html").write_text("old")
    write = Path.write_text

    def interrupted(self, *args, **kwargs):
        if stage == "write_text":
            write(self, "half", encoding="utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("taskct.report.page.render", lambda run: "new")
        patched.setattr(Path, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_report(run)
    assert (run / "report.html").read_text() == "old"
    assert not [path for path in run.iterdir() if path.suffix == ".tmp"]


def test_broken_run_leaves_the_old_report(make_run):
    run = make_run()
    (run / "report.html").write_text("old")
    (run / "scores.csv").unlink()
    with pytest.raises(UserError):
        write_report(run)
    assert (run / "report.html").read_text() == "old"
