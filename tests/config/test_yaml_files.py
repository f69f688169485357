"""Settings files and values of `--set` that are no settings: one line each, and bounded in memory and time."""

from pathlib import Path

import pytest

from taskct.config import dotted_settings, make_settings, parse_overrides
from taskct.config.read import tree_of
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.yaml_text import MAX_DEPTH, parse_yaml

ALIASES = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)  # ten million values by what the aliases stand for; the file itself is small


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b", "line 2: 'name' stands on line 1 already"),
        ("scanner: {i0: 1}\nseed: 1\nscanner: {}", "line 3: 'scanner' stands on line 1 already"),
        ("scanner:\n  i0: 1\n  i0: 2", "line 3: 'i0' stands on line 2 already"),
        ("a: &a [*a]", "an alias stands within what it names"),
        ("&a {b: *a}", "an alias stands within what it names"),
        ("a: &a {<<: *a}", "an alias stands within what it names"),
        (ALIASES, "more than 100000 values"),
        ("a: " + "[" * (MAX_DEPTH + 1), "more than 32 deep"),
        ("a: " + "{b: " * (MAX_DEPTH + 1), "more than 32 deep"),
        ("[" * 5000, "more than 32 deep"),
        ("on: 1", "the name 'on' is read as a number, a truth value or nothing; quote it"),
        ("1: 1", "the name '1' is read as"),
        ("~: 1", "the name '~' is read as"),
        ("? [a]\n: 1", "where the name of a setting is due"),
        ("a: !!int text", "does not fit its tag"),
        ("a: !!bool text", "does not fit its tag"),
        ("a: !!float text", "does not fit its tag"),
        ("a: !!str [1]", "is not valid YAML at line 1"),
        ("a: !!map text", "is not valid YAML at line 1"),
        ("a: !!binary aGk=", "is none of a setting"),
        ("a: !!set {b}", "is none of a setting"),
        ("a: !!omap [b: 1]", "is none of a setting"),
        ("a: !!timestamp 2020-13-45", "is none of a setting"),
        ("a: !!python/name:os.path.join x", "is none of a setting"),
        ("a: !own 1", "is none of a setting"),
        ("a: " + "9" * 5000, "a number of 5000 characters"),
        ("a: 0x" + "f" * 5000, "a number of 5002 characters"),
        ("a: 1\n---\nb: 2", "is not valid YAML at line 2"),
        ("a:\n\tb: 1", "is not valid YAML at line 2"),
        ("a: \x00", "is not valid YAML"),
        ("a: *none", "undefined alias"),
        ("<<: 1", "is not valid YAML at line 1"),
    ],
)
def test_what_is_no_settings_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_yaml(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 500
    with pytest.raises(UserError, match=r"^--set"):
        parse_overrides([f"name={text}"])


def test_aliases_within_the_budget_and_merge_keys_are_read() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}
    assert parse_yaml("a: &a [1]\nb: *a") == {"a": [1], "b": [1]}


def test_a_date_is_text() -> None:
    assert parse_yaml("name: 2026-01-31") == {"name": "2026-01-31"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes("name: a study\n".encode(encoding))
    with pytest.raises(UserError, match="UTF-16; save it as UTF-8"):
        read_yaml(file)


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: a study\n")
    assert read_yaml(file) == {"name": "a study"}


def test_a_settings_file_has_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("# much\n" * 100)
    monkeypatch.setenv("TASKCT_READ_LIMIT", "1kB")
    with pytest.raises(UserError, match="TASKCT_READ_LIMIT"):
        read_yaml(file)


WRONG = {
    "a list": ["a", "b"],
    "a list of lists": [[[]]],
    "a mapping": {"a": 1},
    "a mapping of numbers": {1: 2},
    "nothing": None,
    "a truth value": True,
    "a huge number": 10**390,
    "more digits than Python writes": 10**5000,
    "a small number": -(10**30),
    "a large fraction": 1e308,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "text": "x" * 100_000,
    "no text": "",
    "control characters": "\x1b[31m\x00\u202e",
    "half a pair": "\udc80",
    "bytes": b"\xff",
    "a fraction": 0.123,
}


@pytest.mark.parametrize("name", [name for name, _ in dotted_settings()])
def test_a_value_of_any_kind_is_one_line_or_a_setting(name: str) -> None:
    messages = []
    for value in WRONG.values():
        try:
            make_settings(tree_of(name, value))
        except UserError as error:
            messages.append(str(error))
    assert messages  # no setting takes all of them
    assert [text for text in messages if len(text) > 1200 or not text.isprintable()] == []


@pytest.mark.parametrize("tree", [{1: 2}, {None: 1}, {"scanner": [1]}, {"scanner": {1: 2}}, {("a",): {"b": {}}}])
def test_sections_that_are_none(tree: dict[object, object]) -> None:
    with pytest.raises(UserError):
        make_settings(tree)  # type: ignore[arg-type] - what a stranger's file may hold
