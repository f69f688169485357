"""Ratings for an MRMC analysis, from a file or from a run folder."""

import csv
import json
import math
from pathlib import Path

import numpy as np

from taskct.errors import UserError
from taskct.metrics.mrmc.ratings import Ratings
from taskct.ratings_files import read_imrmc, read_ratings_csv, write_imrmc, write_ratings_csv

SCORES, TASK = "scores.csv", "task.json"


def read_ratings(source: Path, *, observer: str | None = None) -> Ratings:
    """Read ratings.

    Parameters
    ----------
    source
        An `.imrmc` file, a ratings CSV, or a run folder.
    observer
        For a run folder: whose test statistics, as `scores.csv` names it, "slnn_joint" for the jointly trained one.

    Raises
    ------
    UserError
        If there is nothing to read, the observer is missing, unknown or not asked for, or all scores of a modality are
        the same.
    """
    ratings = _read(Path(source), observer)
    for name, scores in zip(ratings.modalities, ratings.scores, strict=True):
        if np.nanmin(scores) == np.nanmax(scores):
            raise UserError(
                f"{source}: every score in modality {name!r} is {np.nanmin(scores):g}, so nothing can be told apart; "
                "look at the scores, or leave the modality out"
            )
    return ratings


def _read(source: Path, observer: str | None) -> Ratings:
    if source.is_dir():
        return ratings_of_run(source, observer)
    if observer is not None:
        raise UserError("--observer is for a run folder; a ratings file holds one study: leave it out")
    if not source.exists():
        raise UserError(f"{source}: no such file; give an .imrmc file, a ratings CSV or a run folder")
    return read_ratings_csv(source) if source.suffix.lower() == ".csv" else read_imrmc(source)


def shared_note(source: Path) -> str | None:
    """Say that the trials of a run folder share backgrounds, which the analysis of reader studies does not know.

    Parameters
    ----------
    source
        What ratings were read from; only a run folder can share.
    """
    try:
        unit = json.loads((source / TASK).read_text(encoding="utf-8"))["resampling"]["unit"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a ratings file, or a run of another version
    if unit == "trial":
        return None
    return (
        "the trials of this run share backgrounds, and cases are taken as independent here: these intervals are too "
        "narrow and p too small; retraining.json has the differences over seeds and backgrounds"
    )


def export_ratings(target: Path, ratings: Ratings) -> None:
    """Write ratings to a new `.imrmc` or `.csv` file.

    Raises
    ------
    UserError
        If the file exists, has another ending, or cannot be written.
    """
    kinds = {".imrmc": write_imrmc, ".csv": write_ratings_csv}
    if target.suffix.lower() not in kinds:
        raise UserError(f"{target}: ratings are written to a file that ends in .imrmc or .csv")
    if target.exists():
        raise UserError(f"{target} exists: choose another file, nothing is overwritten")
    kinds[target.suffix.lower()](target, ratings)


def ratings_of_run(run: Path, observer: str | None) -> Ratings:
    """Test statistics of a run: arms are modalities, training seeds readers, test trials cases.

    Parameters
    ----------
    run
        A run folder with `scores.csv`.
    observer
        As for `read_ratings`.

    Raises
    ------
    UserError
        If the file is missing or broken, or the observer is not in it.
    """
    path = run / SCORES
    if not path.is_file():
        raise UserError(f"{run} holds no {SCORES}: give a run folder that was evaluated, or a ratings file")
    scores: dict[tuple[str, str, str], float] = {}
    truth: dict[str, bool] = {}
    known: dict[str, None] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for row in reader:
                name = f"{row['observer']}_joint" if row["fitted"] == "joint" else row["observer"]
                known[name] = None
                if name != observer:
                    continue
                key, present = (row["arm"], row["seed"], row["trial"]), {"1": True, "0": False}[row["signal_present"]]
                value = float(row["test_statistic"])
                if key in scores or not math.isfinite(value) or truth.setdefault(row["trial"], present) != present:
                    raise ValueError("a test statistic that stands twice, is not finite, or has another truth")
                scores[key] = value
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}, line {reader.line_num}: broken ({error}); evaluate the run again") from error
    if observer not in known:
        asked = "say whose" if observer is None else f"there are none of {observer!r}"
        raise UserError(f"{path} holds test statistics of {', '.join(known)}: {asked}, by --observer")
    arms, seeds = (tuple(dict.fromkeys(key[i] for key in scores)) for i in (0, 1))
    values = [[[scores.get((arm, seed, trial), np.nan) for trial in truth] for seed in seeds] for arm in arms]
    return Ratings(
        scores=np.array(values, dtype=np.float64),
        signal_present=np.array(list(truth.values()), dtype=np.bool_),
        modalities=arms,
        readers=tuple(f"seed {seed}" for seed in seeds),
        cases=tuple(truth),
    )
