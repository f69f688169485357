"""Every example runs from start to end as a plain script, and says something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"method", "observe", "own_network", "scanner", "task_path"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_notebook(path):
    """In jupytext's percent format: text first, then code."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[lines.index("# %% [markdown]") + 1].startswith("# # ")
    assert "# %%" in lines


def test_the_method_stays_short():
    (path,) = (path for path in EXAMPLES if path.stem == "method")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    environment = {**os.environ, "MPLBACKEND": "Agg", "TASKCT_CACHE": "off"}
    done = subprocess.run(
        [sys.executable, str(path)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []
