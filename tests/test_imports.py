"""What the tests import: helpers from modules of helpers, nothing from other tests; the suites load no pytest.

And two rules of the source: no two classes share a name, and the method is short to read.
"""

import ast
import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NO_HELPERS = {"conftest"} | {module.stem for module in TESTS.rglob("test_*.py")}


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: str(file.relative_to(TESTS)))
def test_no_test_module_is_imported(file):
    imported = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported += [node.module or "", *(alias.name for alias in node.names)]
    assert [name for name in imported if set(name.split(".")) & NO_HELPERS] == []


def test_the_suites_need_no_pytest():
    code = "import sys, taskct.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_two_classes_share_a_name():
    places = collections.defaultdict(list)
    for file in sorted((TESTS.parent / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{file.name}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_method_is_read_in_an_hour():
    """The files that CONTRIBUTING names, in its order: at most 6 and 900 lines together, the method itself 200."""
    text = (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Reading the method")[2].partition("\n## ")[0]
    files = [TESTS.parent / path for path in re.findall(r"^\d\. .*?\]\((.+?)\)", section, re.MULTILINE)]
    lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in files]
    assert 1 <= len(files) <= 6
    assert files[0].name == "method.py"
    assert lines[0] <= 200
    assert sum(lines) <= 900
