"""`taskct ARGS` inside the tests' process, where importing torch costs nothing more."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import taskct.cli
from tiny_study import tiny_yaml

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`taskct ARGS` in this process: its exit status, standard output and standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["taskct", *(str(arg) for arg in args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            taskct.cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def refused(call: Call) -> Callable[..., str]:
    """A call that must end with status 2 and one line on standard error, which it returns."""

    def run(*args: object, status: int = 2) -> str:
        code, _, stderr = call(*args)
        lines = stderr.splitlines()
        assert code == status, stderr
        assert len(lines) == 1, stderr
        assert lines[0].startswith("taskct: ")
        assert "Traceback" not in stderr
        return lines[0]

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The settings file of a tiny study."""
    return tiny_yaml(tmp_path / "tiny.yaml")
