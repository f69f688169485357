"""The images of a study that make the round trip: its low-dose images by split, and those of the twins."""

from collections.abc import Sequence

from taskct.errors import UserError
from taskct.study.imports import TRAIN_TWINS, TWINS, shown_trials
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import SPLITS, Trials

DEFAULT_SPLITS = ("test", "fresh", "validation")

GO_ALONG = {"fresh": TWINS, "train": TRAIN_TWINS}
"""Twins that are exported with a split."""


def wanted_splits(splits: Sequence[str]) -> tuple[str, ...]:
    """Some splits in the order of `SPLITS`, each with its twins.

    Raises
    ------
    UserError
        If one is unknown or named twice.

    Examples
    --------
    >>> wanted_splits(["test", "fresh"])
    ('fresh', 'twins', 'test')
    """
    if not splits or len(set(splits)) < len(splits) or not set(splits) <= set(SPLITS):
        raise UserError(f"--split is {','.join(splits)}: give some of {','.join(SPLITS)}, each once")
    return tuple(
        name for split in SPLITS if split in splits for name in (split, GO_ALONG.get(split)) if name is not None
    )


def trials_of(run: RunFolder, splits: Sequence[str]) -> dict[str, Trials]:
    """The trials of some splits; twins that are not known are left out.

    Raises
    ------
    UserError
        If the run is not simulated.
    """
    found = {split: shown_trials(run, split) for split in splits}
    return {split: trials for split, trials in found.items() if trials is not None}
