"""Names of any characters in what commands print, in pages and in figures: shown as they are, and nothing acts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from rich.table import Table

import taskct.cli.terminal
from command_line import Call, call, study
from taskct.apply.observe.observation import as_ratings
from taskct.cli.terminal import Bars, Output, plain_table, print_table, show_progress
from taskct.io.ratings_files import write_imrmc
from taskct.metrics.mrmc.ratings import Ratings
from taskct.report.figures import draw_roc
from taskct.report.html import template
from tiny_study import tiny_yaml

__all__ = ["call", "study"]  # fixtures

NAMES = (
    "FBP [low]",
    "[/red]",
    "[bold]x[/]",
    ":smile:",
    "\x1b]0;title\x07 \x1b[2J",
    "\u202egnp",
    "$5 and $\\frac",
    "<script>alert(1)</script>",
    "'=1+1",
    "{0} %s",
)
SEEN = (*NAMES[:4], r"\x1b]0;title\x07 \x1b[2J", r"\u202egnp", *NAMES[6:])
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def ratings_of(modalities: tuple[str, ...], readers: tuple[str, ...]) -> Ratings:
    rng, present = np.random.default_rng(5), np.arange(24) % 2 == 0
    scores = rng.normal(size=(len(modalities), len(readers), 24)) + 1.5 * present
    return Ratings(scores, present, modalities, readers, tuple(f"c{i}" for i in range(24)))


def test_mrmc_shows_modalities_and_readers_as_they_are(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "strange [1].imrmc"
    write_imrmc(path, ratings_of(NAMES, NAMES[:3]))
    code, out, err = call("mrmc", path, "--margin", "0.1")
    assert code == 0, err
    assert not ACTS.search(out + err)
    for seen in SEEN:
        assert seen in out, seen
    code, out, err = call("mrmc", path, "--json")
    assert (code, ACTS.search(out + err)) == (0, None)
    assert list(json.loads(out)["modalities"]) == list(NAMES)


def test_mrmc_names_what_is_not_there(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "study.imrmc"
    write_imrmc(path, ratings_of(NAMES[:5], ("a", "b")))
    code, out, err = call("mrmc", path, "--arm", NAMES[4] + "x")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not ACTS.search(err)


def test_mrmc_of_a_run_shows_its_arms_as_they_are(call: Call, tmp_path: Path) -> None:
    rows = ["arm,lambda,seed,observer,fitted,trial,signal_present,test_statistic"]
    values = np.random.default_rng(1).normal(size=(2, 40)).round(6)
    for name, scores in zip(("[/red]", "FBP \x1b[2J[low]"), values, strict=True):
        rows += [f"{name},,{seed},ho,fresh,{i},{i % 2},{s + seed}" for seed in (0, 1) for i, s in enumerate(scores)]
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    (tmp_path / "task.json").write_text('{"resampling": {"unit": "background"}}')
    code, out, err = call("mrmc", tmp_path, "--observer", "ho")
    assert code == 0, err
    assert not ACTS.search(out + err)
    assert "[/red]" in out
    assert r"FBP \x1b[2J[low]" in out
    for broken in ("[]", '{"resampling": 3}', '{"resampling": {"unit": ["trial"]}}', "{", '{"a": NaN}'):
        (tmp_path / "task.json").write_text(broken)
        code, _, err = call("mrmc", tmp_path, "--observer", "ho")
        assert (code, len(err.splitlines())) == (2, 1), err
        assert "task.json" in err


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_any_name(call: Call, tmp_path: Path, name: str) -> None:
    """In the settings, a plan of its stages, and a preview, in a folder that is called so too."""
    folder = tmp_path / re.sub("/", "_", name)
    folder.mkdir()
    file = tiny_yaml(folder / "study.yaml", name=re.sub("[\x00-\x1f\u202e]", "", name) or "x")
    for args in (
        ("config", file),
        ("config", file, "name"),
        ("run", file, "--out", folder / "run", "--dry-run", "--device", "cpu"),
    ):
        code, out, err = call(*args)
        assert code == 0, err
        assert not ACTS.search(out + err)
    # A name that settings do not take is told in one line that does nothing either.
    file.write_text(yaml.safe_dump({"scanner": {"preset": name}, "seed": name}))
    code, out, err = call("config", file)
    assert (code, len(err.splitlines())) == (2, 1)
    assert not ACTS.search(out + err)


def test_observe_shows_names_of_folders_and_observers_as_they_are(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    folder = tmp_path / "[red] \x1b[2J"
    folder.mkdir()
    for kind, shift in (("present", 3.0), ("absent", 0.0)):
        np.save(folder / f"{kind} [b].npy", rng.normal(shift, 1.0, (24, 6, 6)).astype(np.float32))
    args = ("--present", folder / "present [b].npy", "--absent", folder / "absent [b].npy", "--progress", "plain")
    out_folder = folder / "out [x]"
    code, out, err = call("observe", *args, "--observers", "npw", "--out", out_folder, "--device", "cpu")
    assert code == 0, err
    assert not ACTS.search(out + err)
    assert r"[red] \x1b[2J" in out
    code, _, err = call("observe", *args, "--observers", "npw,[/red]\x1b[2J")
    assert (code, len([line for line in err.splitlines() if line.startswith("taskct: ")])) == (2, 1)
    assert not ACTS.search(err)


def test_progress_shows_titles_and_details_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        with show_progress() as show:
            show.open(name)(1, 2, name)
            show.close(name)
    said = capsys.readouterr().err
    assert not ACTS.search(said)
    assert [seen for seen in SEEN if seen not in said] == []

    class Terminal(Output):
        @property
        def is_terminal(self) -> bool:
            return True

    monkeypatch.setattr(taskct.cli.terminal, "err", Terminal(force_terminal=True, width=200, stderr=True))
    monkeypatch.setenv("TERM", "xterm")
    with show_progress() as show:
        assert isinstance(show, Bars)
        for name in NAMES:
            show.open(name)(1, 2, name)
    said = capsys.readouterr().err
    assert "\x1b]0;" not in said
    assert "\x1b[2J" not in said
    assert "\u202e" not in said
    assert [seen for seen in SEEN if seen not in said] == []


def test_headings_and_cells_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table: Table = plain_table(*NAMES)
    table.add_row(*NAMES)
    print_table(table, NAMES[1])
    out = capsys.readouterr().out
    assert not ACTS.search(out)
    assert all(out.count(seen) >= 1 for seen in SEEN[:4])


def test_figures_draw_names_as_they_are() -> None:
    """A dollar sign that began a formula would raise here, since the formula is none."""
    ends = np.array([0.0, 1.0])
    with mpl.rc_context({"backend": "agg"}):
        assert draw_roc(dict.fromkeys(NAMES, (ends, ends))).startswith(b"\x89PNG")


def test_pages_show_names_as_they_are() -> None:
    html = template("preview.html.j2").render(
        shown={"title": NAMES[7], "description": "".join(NAMES), "notes": ["\udc80\0"], "facts": []},
        pictures={name: {"uri": '"><script>', "width_px": 1} for name in ("objects", "trials", "truth")},
        columns=list(NAMES),
        rows=[],
        window="",
        some_without=False,
    )
    assert not ACTS.search(html)
    assert html.count("<script") == 1  # the page's own
    assert r"\udc80\x00" in html
    html.encode("utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_no_encoding_has(tmp_path: Path, encoding: str) -> None:
    """A file name of bytes that are no text, where standard output can write ASCII alone."""
    name = os.fsdecode(b"\xff\xfe [low].csv")
    write_imrmc(tmp_path / "a.imrmc", as_ratings(np.ones((1, 1, 4)), np.arange(4) % 2 == 0, np.arange(4)))
    (tmp_path / name).write_bytes((tmp_path / "a.imrmc").read_bytes())
    source = str(Path(taskct.cli.terminal.__file__).parents[2])
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-m", "taskct", "mrmc", tmp_path / name], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert rb"\udcff\udcfe [low].csv" in done.stderr
    assert len(done.stderr.splitlines()) == 1
