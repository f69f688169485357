"""Damaged files of every kind: taskct reads them or refuses in one harmless line; about a minute of a core."""

from pathlib import Path

import pytest

from fuzz.harness import run_case
from fuzz.targets import TARGETS, make_workspace

SEED, CASES = 0, 1200


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("fuzz") / "workspace")


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_file_is_read_or_refused_in_one_line(place: Path, name: str) -> None:
    share = TARGETS[name].share / sum(target.share for target in TARGETS.values())
    failures = []
    for index in range(max(4, round(CASES * share))):
        outcome = run_case(place, name, SEED, index)
        if outcome.failed:
            again = f"python tests/fuzz/run.py --format {name} --seed {SEED} --case {index}"
            failures.append(f"{again}\n{outcome.kind}: {outcome.detail}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", TARGETS)
def test_files_that_are_not_damaged_are_read(place: Path, name: str) -> None:
    TARGETS[name].read(place)
