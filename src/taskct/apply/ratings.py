"""Ratings for an MRMC analysis, from a file or from a run folder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import read_truth_value
from taskct.io.cluster_files import numbered, read_clusters
from taskct.io.csv_rows import csv_rows
from taskct.io.ratings_files import (
    header_notes,
    read_clustered_ratings,
    read_imrmc,
    write_imrmc,
    write_ratings_csv,
)
from taskct.metrics.mrmc.ratings import Ratings
from taskct.names import observer_of
from taskct.reading import check_budget, read_json, read_text

SCORES, TASK = "scores.csv", "task.json"
UNITS = ("trial", "background")
"""What a run resamples, as its task.json names it."""


@dataclass(frozen=True)
class ReaderStudy:
    """What `taskct mrmc` analyses."""

    ratings: Ratings
    """The modalities that were chosen."""
    pairs: tuple[tuple[str, str], ...]
    """Modalities to compare, first minus second."""
    notes: tuple[str, ...]
    """What a reader of the results must know of the source."""
    clusters: NDArray[np.intp] | None = None
    """Number of the cluster (patient, background) of each case, `(n_cases,)`; None where each case stands alone."""


@dataclass(frozen=True)
class Choice:
    """Arms of a run, or modalities of a file, that are wanted; all where nothing is said."""

    arms: tuple[str, ...] = ()
    """Only these, and the ones of `versus`."""
    versus: tuple[str, ...] = ()
    """Compare with these alone: the arms, or all others where no arm is named."""

    def among(
        self, known: Sequence[str], source: Path, kind: str = "modality"
    ) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Those of the known that are wanted, the arms first, and the pairs to compare.

        A UserError, if a name is unknown, named by both options, or no arm is left.
        """
        for option, names in (("arm", self.arms), ("versus", self.versus)):
            for name in names:
                if name not in known:
                    raise UserError(f"--{option} {name}: {source} has no such {kind}; there are {', '.join(known)}")
        if both := set(self.arms) & set(self.versus):
            raise UserError(f"{min(both)} is named by --arm and by --versus: compare it with another")
        versus = tuple(dict.fromkeys(self.versus))
        arms = tuple(dict.fromkeys(self.arms or (name for name in known if name not in versus)))
        if not arms:
            raise UserError("every arm is named by --versus: name those to compare with them by --arm")
        return (*arms, *versus), tuple(product(arms, versus) if versus else combinations(arms, 2))


def read_study(
    source: Path, *, observer: str | None = None, choice: Choice | None = None, clusters_file: Path | None = None
) -> ReaderStudy:
    """Read ratings and choose what is compared.

    Parameters
    ----------
    source
        An `.imrmc` file, a ratings CSV, or a run folder.
    observer
        For a run folder: whose test statistics, as `scores.csv` names it, "slnn_joint" for the jointly trained one.
    choice
        Arms or modalities that are wanted.
    clusters_file
        Table with the cluster of each case, for ratings that do not say it themselves.

    Raises
    ------
    UserError
        If there is nothing to read, the observer or an arm is missing or unknown, an observer is not asked for, an arm
        is to be compared with itself, all scores of a modality are the same, or clusters are given twice.
    """
    source = Path(source)
    whole, clusters, notes = _read(source, observer)
    if clusters_file is not None:
        if clusters is not None or source.is_dir():
            raise UserError(f"{source} says itself which cases belong together: leave --clusters out")
        clusters = read_clusters(clusters_file, whole.cases)
    ratings, pairs = _choose(source, whole, choice or Choice())
    for name, scores in zip(ratings.modalities, ratings.scores, strict=True):
        if np.nanmin(scores) == np.nanmax(scores):
            raise UserError(
                f"{source}: every score in modality {name!r} is {np.nanmin(scores):g}, so nothing can be told apart; "
                "look at the scores, or leave the modality out by choosing others with --arm"
            )
    return ReaderStudy(ratings, pairs, notes, clusters)


def _read(source: Path, observer: str | None) -> tuple[Ratings, NDArray[np.intp] | None, tuple[str, ...]]:
    """Ratings, clusters of their cases where these are known, and notes."""
    if source.is_dir():
        shared = shared_note(source)
        ratings, backgrounds = _run_scores(source, observer)
        if shared is None:
            return ratings, None, ()
        return (ratings, None, (shared,)) if backgrounds is None else (ratings, backgrounds, ())
    if observer is not None:
        raise UserError("--observer is for a run folder; a ratings file holds one study: leave it out")
    if not source.exists():
        raise UserError(f"{source}: no such file; give an .imrmc file, a ratings CSV or a run folder")
    if source.suffix.lower() == ".csv":
        return *read_clustered_ratings(source), ()
    ratings = read_imrmc(source)
    return ratings, None, header_notes(source, ratings)


def _choose(source: Path, ratings: Ratings, choice: Choice) -> tuple[Ratings, tuple[tuple[str, str], ...]]:
    """The modalities wanted, the arms first, and their pairs."""
    kept, pairs = choice.among(ratings.modalities, source, "arm" if source.is_dir() else "modality")
    return ratings.part(modalities=[ratings.modalities.index(name) for name in kept]), pairs


def shared_note(source: Path) -> str | None:
    """Say that the trials of a run folder share backgrounds, which the analysis of reader studies does not know."""
    path = source / TASK
    if not path.is_file():  # a ratings file, or scores alone
        return None
    task = read_json(path, advice="evaluate the run again")
    resampling = task.get("resampling") if isinstance(task, dict) else None
    unit = resampling.get("unit") if isinstance(resampling, dict) else None
    if unit not in UNITS:
        raise UserError(f"{path}: broken, or of another version (resampling.unit); evaluate the run again")
    if unit == "trial":
        return None
    return (
        "the test trials of this run share backgrounds, but here they count as independent cases: these intervals are "
        "too narrow and p too small; retraining.json has the differences over seeds and backgrounds"
    )


def export_ratings(target: Path, ratings: Ratings, clusters: NDArray[np.intp] | None = None) -> None:
    """Write ratings to a new `.imrmc` or `.csv` file; the CSV has the clusters of the cases too."""
    suffix = target.suffix.lower()
    if suffix not in (".imrmc", ".csv"):
        raise UserError(f"{target}: ratings are written to a file that ends in .imrmc or .csv")
    if target.exists():
        raise UserError(f"{target} exists: choose another file, nothing is overwritten")
    if suffix == ".csv":
        write_ratings_csv(target, ratings, clusters=clusters)
    else:
        write_imrmc(target, ratings)


def ratings_of_run(run: Path, observer: str | None) -> Ratings:
    """Test statistics of an evaluated run: arms are modalities, training seeds readers, test trials cases."""
    return _run_scores(run, observer)[0]


def _run_scores(run: Path, observer: str | None) -> tuple[Ratings, NDArray[np.intp] | None]:
    """The same, and the background of each trial where `scores.csv` says it."""
    path = run / SCORES
    if not path.is_file():
        raise UserError(f"{run} holds no {SCORES}: give a run folder that was evaluated, or a ratings file")
    scores: dict[tuple[str, str, str], float] = {}
    truth: dict[str, bool] = {}
    backgrounds: dict[str, str] = {}
    known: dict[str, None] = {}
    rows = csv_rows(path, read_text(path, "scores", "evaluate the run again"))
    line, header = next(rows, (1, []))
    try:
        for at, fields in rows:
            line = at
            row = dict(zip(header, fields, strict=True))
            name = observer_of(row["observer"], row["fitted"])
            known[name] = None
            if name != observer:
                continue
            key, present = (row["arm"], row["seed"], row["trial"]), read_truth_value(row["signal_present"])
            value = float(row["test_statistic"])
            if key in scores or not math.isfinite(value) or truth.setdefault(row["trial"], present) != present:
                raise ValueError("a test statistic that stands twice, is not finite, or has another truth")
            background = row.get("case", "")
            if backgrounds.setdefault(row["trial"], background) != background:
                raise ValueError("a trial with two backgrounds")
            scores[key] = value
    except UserError:
        raise
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}, line {line}: broken ({error}); evaluate the run again") from error
    if observer not in known:
        asked = "say whose" if observer is None else f"there are none of {observer!r}"
        raise UserError(f"{path} holds test statistics of {', '.join(known)}: {asked}, by --observer")
    arms, seeds = (tuple(dict.fromkeys(key[i] for key in scores)) for i in (0, 1))
    check_budget(path, 8 * len(arms) * len(seeds) * len(truth))
    values = [[[scores.get((arm, seed, trial), np.nan) for trial in truth] for seed in seeds] for arm in arms]
    ratings = Ratings(
        scores=np.array(values, dtype=np.float64),
        signal_present=np.array(list(truth.values()), dtype=np.bool_),
        modalities=arms,
        readers=tuple(f"seed {seed}" for seed in seeds),
        cases=tuple(truth),
        reader_kind="training seed",
    )
    labels = [backgrounds[trial] for trial in truth]
    return ratings, numbered(path, labels) if all(labels) and len(set(labels)) > 1 else None
