"""A run folder for each combination of some settings, as `taskct run --each` makes them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from taskct.cli.run_folder import (
    Asked,
    Machine,
    duration_text,
    note_without_effect,
    open_study,
    print_plan,
    settings_of,
)
from taskct.cli.terminal import fail, print_line
from taskct.config.combinations import combinations_of
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.study.checks import check_arms
from taskct.study.run_folder import RunFolder
from taskct.sweep.schedule import Outcome


def do_each(folder: Path, asked: Asked, each: Sequence[str], do: Callable[[RunFolder], Outcome]) -> None:
    """Do the run of each combination, one after the other, and end with a line for each training that went wrong.

    Raises
    ------
    UserError
        If any of them could not be begun, before the first is; or at the first that cannot be done.
    """
    studies, failed = _studies_of(folder, asked, each), list[str]()
    for number, (path, one) in enumerate(studies, 1):
        print_line(f"Run {number} of {len(studies)}: {path.name}")
        try:
            outcome = do(open_study(path, one))
        except UserError as error:
            raise UserError(f"{path.name}: {error}") from error
        failed += [f"{path.name}: {line}" for line in outcome.lines()]
    print_line(f"Runs: {len(studies)} in {folder}")
    if failed:
        fail(*failed)


def plan_each(folder: Path, asked: Asked, each: Sequence[str], machine: Machine, *, summary: bool) -> None:
    """Print what the run of each combination would do, and how long all would take."""
    studies, seconds = _studies_of(folder, asked, each), 0.0
    for number, (path, one) in enumerate(studies, 1):
        print_line(f"Run {number} of {len(studies)}: {path.name}")
        opened = open_study(path, one, read_only=True)
        seconds += print_plan(opened, machine, summary=summary).seconds
        note_without_effect(opened.settings)
    left = f"about {duration_text(seconds)}" if seconds else "nothing is left to do"
    print_line(f"Runs: {len(studies)}, one after the other: {left}")


def _studies_of(folder: Path, asked: Asked, each: Sequence[str]) -> list[tuple[Path, Asked]]:
    """The run folders of a sweep over settings, and the study that belongs into each; none is made yet.

    Raises
    ------
    UserError
        If any of them could not be done: a wrong name or value, or a folder that holds another study.
    """
    if asked.config is None and asked.preset is None:
        raise UserError("--each needs the study that it changes: give a settings file or --preset")
    if (folder / "study.yaml").exists():
        raise UserError(f"{folder} is a run folder, and --each makes several in it: choose another --out folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder: choose another --out")
    found = [
        (folder / one.name, replace(asked, overrides=(*asked.overrides, *one.overrides)))
        for one in combinations_of(each)
    ]
    swept = {override.partition("=")[0] for override in found[0][1].overrides[len(asked.overrides) :]}
    if twice := swept & {text.partition("=")[0].strip() for text in asked.overrides}:
        raise UserError(f"--set and --each both give {min(twice)}: leave one out")
    if "seed" in swept and asked.seed is not None:
        raise UserError("--seed and --each both give seed: leave one out")
    device = resolve_device(asked.device)
    for path, one in found:
        settings = settings_of(path, one)
        check_arms(settings, device)
        RunFolder(path, settings, device=device, read_only=True)
    return found
