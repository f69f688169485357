"""Docstrings of the package: NumPy sections that a page can be made of, and parameters that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "Notes", "References", "Examples")
OUTSIDE = re.compile(r"\bDESIGN\b *§|\b[Tt]he issue('s)?\b|\b[Tt]he ticket\b|/work/")
TEXT_FILES = ("*.py", "*.md", "*.toml", "*.sh", "*.yml", "*.yaml", "Makefile")


def faults(text: str, known: set[str] | None = None) -> list[str]:
    """What is wrong with the sections of a docstring; `known` are the parameters there are, None for any."""
    found, order = [], []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        after = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if re.search(r"\w.*-{4}|-{4}.*\w", line):
            found.append(f"a heading runs into the text: {line.strip()}")
        elif line.strip() in SECTIONS:
            order.append(SECTIONS.index(line.strip()))
            if after != "-" * len(line.strip()):
                found.append(f"{line.strip()} is underlined by {after!r}")
            if i and lines[i - 1].strip():
                found.append(f"no blank line before {line.strip()}")
        elif re.fullmatch(r"-{3,}", line.strip()) and (not i or lines[i - 1].strip() not in SECTIONS):
            found.append(f"no section is called {lines[i - 1].strip()!r}")
        if line.count(".. [") > 1:
            found.append(f"two references in a line: {line.strip()}")
    if order != sorted(set(order)):
        found.append(f"sections stand as {[SECTIONS[at] for at in order]}")
    head = re.search(r"^Parameters\n-+\n((?:.*\n?)*?)(?=\n\w[^\n]*\n---|\Z)", text, re.MULTILINE)
    if known is not None and head is not None:
        lines_of_names = re.findall(r"^\S.*$", head[1].replace("*", ""), re.MULTILINE)
        if gone := {name for line in lines_of_names for name in line.split(", ")} - known:
            found.append(f"there is no parameter {', '.join(sorted(gone))}")
    return found


def parameters(node: ast.AST) -> set[str] | None:
    """Names that a function, or the class when it is called, can be given; None where a base class decides too."""
    if isinstance(node, ast.FunctionDef):
        wanted = node.args
        all_of = [*wanted.posonlyargs, *wanted.args, *wanted.kwonlyargs, wanted.vararg, wanted.kwarg]
        return {argument.arg for argument in all_of if argument is not None}
    if isinstance(node, ast.ClassDef):
        made = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
        return None if made is None else parameters(made)
    return None


def documented(path: Path) -> Iterator[tuple[str, str, set[str] | None]]:
    """Every docstring of a file: where, text, parameters."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        of_interest = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if of_interest and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text, parameters(node)


def test_sections_of_docstrings() -> None:
    wrong = [
        f"{where}: {fault}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for where, text, known in documented(path)
        for fault in faults(text, known)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A.\n\nReturns ------- Its area.", "runs into the text"),
        ("A.\n\nNotes ----- It holds.", "runs into the text"),
        ("A.\n\nReturns\n----\nIts area.", "is underlined by"),
        ("A.\n\nReturns\n\nIts area.", "is underlined by"),
        ("A.\nReturns\n-------\nIts area.", "no blank line"),
        ("A.\n\nResult\n------\nIts area.", "no section is called"),
        ("A.\n\nNotes\n-----\nN.\n\nReturns\n-------\nIts area.", "sections stand as"),
        ("A.\n\nReferences\n----------\n.. [1] A (2000).  .. [2] B (2001).", "two references"),
        ("A.\n\nParameters\n----------\na, c\n    Sides, mm.", "no parameter c"),
    ],
)
def test_a_fault_is_found(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(text, {"a", "b"}))


def test_no_file_refers_to_what_is_not_in_the_repository() -> None:
    folders = (ROOT / name for name in ("src", "tests", "docs", "findings", "benchmarks", "examples"))
    files = [path for folder in folders for kind in TEXT_FILES for path in folder.rglob(kind)]
    files += [path for kind in TEXT_FILES for path in ROOT.glob(kind)]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OUTSIDE.search(line)
    ]
    assert not wrong, "\n".join(wrong)
