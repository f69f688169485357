"""What `make pythons` makes of its runs: a page that says what failed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pythons import Result, failures, find_pythons, page, versions_of

GOOD = Result("3.13.0", "newest", {"torch": "2.15.0"}, "passed", "412 passed, 3 skipped", (), 60.4, "2026-11-29")


def changed(**fields: object) -> Result:
    return Result(**{**vars(GOOD), **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"smoke": "AttributeError: 'str' object has no attribute 'value'"},
        {"tests": "1 failed, 411 passed", "failed": ("tests.test_trials::test_round_trip",)},
        {"tests": "no tests ran"},
    ],
    ids=["study", "tests", "nothing ran"],
)
def test_what_did_not_pass_is_not_good(fields):
    assert GOOD.good
    assert not changed(**fields).good


def test_the_page_has_a_row_for_each_and_names_what_failed():
    bad = changed(python="3.9.1", dependencies="lowest", smoke="a | b", failed=("tests.test_trials::test_round_trip",))
    text = page([GOOD, bad])
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| 3.")]
    assert [row[:3] for row in rows] == [["| 3.9.1", "lowest", "a / b"], ["| 3.13.0", "newest", "passed"]]
    assert len({len(row) for row in rows}) == 1
    assert "- 3.9.1, lowest: `tests.test_trials::test_round_trip`" in text
    assert "What failed" not in page([GOOD])


def test_failures_are_read_from_what_pytest_reports(tmp_path):
    (tmp_path / "test_some.py").write_text("def test_good(): pass\ndef test_bad(): assert 0\n")
    (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", "tests.xml"]
    for file, expected in (("test_some.py", ["test_some::test_bad"]), ("test_broken.py", ["test_broken"])):
        subprocess.run([*command, file], cwd=tmp_path, capture_output=True, check=False)
        assert list(failures(tmp_path / "tests.xml")) == expected


def test_versions_are_read_from_what_uv_resolved(tmp_path):
    (tmp_path / "requirements.txt").write_text("# by uv\ntorch==2.6.0\n    # via taskct\nnumpy==1.26.0\n")
    versions = versions_of(tmp_path / "requirements.txt")
    assert (versions["torch"], versions["numpy"], versions["scipy"]) == ("2.6.0", "1.26.0", "–")


def test_pyenvs_newest_releases_are_found(tmp_path, monkeypatch):
    for version in ("3.10.4", "3.11.2", "3.11.10", "3.99.0"):
        python = tmp_path / "versions" / version / "bin" / "python"
        python.parent.mkdir(parents=True)
        level = "candidate" if version == "3.99.0" else "final"
        python.write_text(f"#!/bin/sh\necho {version.replace('.', ' ')} {level}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_pythons() == {"3.11.10": Path(tmp_path / "versions" / "3.11.10" / "bin" / "python")}
