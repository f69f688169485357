"""What the tests import: helpers from modules of helpers, nothing from other tests; the suites load no pytest."""

import ast
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
