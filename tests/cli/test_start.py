"""`taskct --version` and `--help` answer at once: they import none of what computes."""

import importlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import typer

from taskct import __version__
from taskct.cli.app import COMMANDS, app

LIGHT = {"typer", "rich", "lazy-loader", "lazy_loader"}
"""What the command line's root may import of what taskct depends on; older releases of typer import rich."""

SETTINGS = {"pydantic", "pyyaml", "numpy"}
"""What the settings are read and checked with, which the options of a command are made of."""

LOADS = """
import json, runpy, sys
sys.argv = ["taskct", *sys.argv[1:]]
try:
    runpy.run_module("taskct", run_name="__main__")
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def python(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, check=False)


def installed_by(distributions: set[str]) -> set[str]:
    """Top-level packages of distributions."""
    packages = metadata.packages_distributions().items()
    return {name for name, owners in packages if distributions & {owner.lower() for owner in owners}}


@pytest.fixture(scope="module")
def heavy() -> set[str]:
    """Packages that taskct depends on and that take time to import."""
    required = [line for line in metadata.requires("taskct") or [] if "extra" not in line]
    wanted = {re.split(r"[<>=!~; ]", line)[0].lower() for line in required}
    assert {"torch", "scipy", "zarr", "pydantic"} <= wanted
    names = installed_by(wanted - LIGHT)
    assert {"torch", "scipy", "zarr", "pydantic", "numpy", "yaml"} <= names
    return names


@pytest.mark.parametrize("args", [["--version"], ["--help"], []], ids=str)
def test_the_root_of_the_command_line_imports_nothing_that_computes(args, heavy):
    done = python("-c", LOADS, *args)
    *printed, modules = done.stderr.splitlines()
    loaded = set(json.loads(modules))
    assert {name.partition(".")[0] for name in loaded} & heavy == set()
    assert {name for name in loaded if name.startswith("taskct")} <= {
        "taskct",
        "taskct.cli",
        "taskct.cli.app",
        "taskct.cli.stopping",
    }
    wanted = f"taskct {__version__}" if args == ["--version"] else "Usage: taskct [OPTIONS] COMMAND [ARGS]..."
    assert next(line for line in [*done.stdout.splitlines(), *printed] if line) == wanted


def test_the_package_imports_nothing_else():
    code = "import sys, typing, importlib; before = set(sys.modules); import taskct; print(*set(sys.modules) - before)"
    loaded = python("-c", code).stdout.split()
    assert [name for name in loaded if name.startswith("taskct")] == ["taskct"]
    assert not {"torch", "numpy", "scipy"} & set(loaded)


def test_the_first_of_several_processes_is_known_without_torch():
    code = "import sys; from taskct.cli.terminal import is_first; print(is_first(), 'torch' in sys.modules)"
    assert [python("-c", code, RANK=rank).stdout.split() for rank in "01"] == [["True", "False"], ["False", "False"]]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_that_computes_or_reads_images(name, heavy):
    done = python("-c", LOADS, name, "--help")
    assert done.stdout.startswith(f"Usage: taskct {name} "), done.stderr
    loaded = {module.partition(".")[0] for module in json.loads(done.stderr.splitlines()[-1])}
    assert loaded & heavy <= installed_by(SETTINGS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_the_first_of_its_own_help(name):
    module, line = COMMANDS[name]
    importlib.import_module(f"taskct.cli.{module}")
    known = typer.main.get_group(app).commands
    assert (known[name].help or "").splitlines()[0] == line


def test_every_command_is_in_the_table():
    folder = resources.files("taskct") / "cli"
    for file in folder.iterdir():
        if file.name.endswith(".py") and file.name != "__init__.py":
            importlib.import_module(f"taskct.cli.{Path(file.name).stem}")
    assert list(typer.main.get_group(app).commands) == list(COMMANDS)
    assert {info.callback.__module__ for info in app.registered_commands if info.callback is not None} == {
        f"taskct.cli.{module}" for module, _ in COMMANDS.values()
    }


def test_a_mistyped_command_is_told_the_nearest():
    done = python("-m", "taskct", "trian")
    assert done.returncode == 2
    assert "no such command 'trian': did you mean 'train'" in done.stderr
    assert "Traceback" not in done.stderr
