"""README and docs: short enough, their links, commands, settings and code hold, and the site builds."""

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import typer

import taskct
from taskct.cli.app import COMMANDS, app
from taskct.config import dotted_settings, settings_named
from tiny_study import tiny_settings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("api/", "examples/", "project/", "reference/")
"""Folders of the site whose pages the build writes; it checks the links to them."""
SECTIONS = sorted({name.split(".")[0] for name, _ in dotted_settings() if "." in name})
CODE = re.compile(r"^```(\w*)\n(.*?)^```|((?:^    [^\n]*\n|^\n)+)", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Every block of code: its language, "" if none is named, and what it holds."""
    for found in CODE.finditer(text):
        yield found[1] or "", found[2] if found[2] is not None else re.sub(r"^    ", "", found[3], flags=re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `taskct …` in a block of code or in code type."""
    lines = [line for _, block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(taskct [^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines:
        found = re.match(r"(?:[A-Z_]+=\S+ )*(?:\S*/)?(taskct [a-z-].*)", line.strip())
        if found:
            yield shlex.split(found[1], comments=True)[1:]


def known_options() -> dict[str, set[str]]:
    for module in {module for module, _ in COMMANDS.values()}:
        importlib.import_module(f"taskct.cli.{module}")
    group = typer.main.get_group(app)
    return {
        name: {option for one in group.commands[name].params for option in one.opts} | {"--help"} for name in COMMANDS
    }


def test_the_readme_is_short() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 160] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|<img [^>]*src=\"([^\"]+)\"", text)
    for link in (one or other for one, other in links):
        if not re.match(r"https?://", link) and not (page.parent.name == "docs" and link.startswith(GENERATED)):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_these_options_and_settings(page: Path) -> None:
    known = known_options()
    for command, *words in commands(page.read_text(encoding="utf-8")):
        if command == "COMMAND":  # a placeholder
            continue
        assert command in known, command
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known[command], (command, options - known[command])
        for option, value in pairwise(words):
            if option in ("--set", "--each") and "=" in value and value.partition("=")[0] not in ("NAME", "grid"):
                settings_named(value.partition("=")[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_have_these_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_.]+)(?=[`=])", text):
        if not name.endswith((".py", ".json", ".ts")):
            settings_named(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page: Path) -> None:
    for language, code in blocks(page.read_text(encoding="utf-8")):
        if language == "python":
            compile(code, page.name, "exec")


def test_there_is_something_to_check() -> None:
    """What the tests above look for is found on the pages."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {command for command, *_ in commands(text)} >= set(COMMANDS)
    assert sum(language == "python" for language, _ in blocks(text)) >= 3
    assert list(commands("    taskct run --out A \\\n      --set b=1  # so\n")) == [
        ["run", "--out", "A", "--set", "b=1"]
    ]


def test_contributing_lists_every_room_and_module() -> None:
    text, package = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), ROOT / "src" / "taskct"
    listed = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.parent.name for path in package.glob("*/__init__.py"))
    listed = re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in package.glob("*.py") if not path.name.startswith("__"))


def test_the_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a tiny study."""
    (code,) = (code for language, code in blocks(README.read_text(encoding="utf-8")) if language == "python")
    simulate = taskct.simulate
    monkeypatch.setattr(taskct, "simulate", lambda study, **changes: simulate({"demo": tiny_settings()}[study]))
    exec(compile(code, "README.md", "exec"), {})
    found = [[float(word) for word in line.split()] for line in capsys.readouterr().out.splitlines()]
    assert [task_weight for task_weight, _ in found] == [0.0, 0.9]
    assert all(0.0 <= area <= 1.0 for _, area in found)


class Loads(HTMLParser):
    """What a page loads by itself: scripts, styles, pictures, fonts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.found.add(named.get("src") or "")
        elif tag == "link" and named.get("rel") not in ("canonical", "next", "prev"):
            self.found.add(named.get("href") or "")


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings", "latex2mathml")),
    reason="needs the extra docs",
)
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """A broken link, or a public name without a docstring page, would fail it.

    TASKCT_SITE names a site that was built so a moment ago, as CI does.
    """
    if "TASKCT_SITE" in os.environ:
        site = ROOT / os.environ["TASKCT_SITE"]
    else:
        site = tmp_path / "site"
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        build = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
        found = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
    pages = list(site.rglob("*.html"))
    wanted = {"index", "tutorial", "method", "settings", "commands", "taskct.metrics", "taskct.observers"}
    assert wanted <= {page.stem for page in pages}
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [one for one in loads.found if re.match(r"(https?:)?//", one)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style
    method = (site / "method.html").read_text(encoding="utf-8")
    assert "<math" in method
    assert "arithmatex" not in method
