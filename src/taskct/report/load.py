"""Read and check a run folder."""

import csv
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from taskct import __version__
from taskct.errors import UserError, unreadable
from taskct.names import LOW_DOSE, MSE, observer_of
from taskct.report.run import Run
from taskct.report.schema import (
    Choices,
    Examples,
    Failures,
    FalseSignals,
    Groups,
    Provenance,
    Retraining,
    Scores,
    SiteBias,
    Summary,
    Task,
    Tradeoff,
)

T = TypeVar("T")

_TRUTH = {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}


def load_run(run: Path) -> Run:
    """Read every file that a report needs.

    Parameters
    ----------
    run
        A run folder that `taskct evaluate` has finished.

    Raises
    ------
    UserError
        If a file is missing or broken, or two files do not belong together.
    """
    if not run.is_dir():
        raise UserError(f"{run} is not a folder; give the run folder that `taskct evaluate` wrote")
    loaded = Run(
        path=run,
        summary=_json(run, "summary.json", Summary),
        scores=_scores(run),
        site_bias=_site_bias(run),
        choices=_json(run, "choices.json", Choices),
        tradeoff=_json(run, "tradeoff.json", Tradeoff),
        false_signals=_json(run, "hallucination.json", FalseSignals),
        retraining=_json(run, "retraining.json", Retraining),
        groups=_json(run, "groups.json", Groups),
        task=_json(run, "task.json", Task),
        examples=_examples(run),
        settings=_settings(run),
        provenance=_json(run, "provenance.json", Provenance),
        # Only there when a training went wrong.
        failures=_json(run, "failures.json", Failures) if (run / "failures.json").exists() else Failures([], []),
    )
    _check_together(loaded)
    return loaded


def _broken(run: Path, name: str, why: str) -> UserError:
    return UserError(f"{run / name} {' '.join(why.split())}; {_advice(run, name)}")


def _advice(run: Path, name: str) -> str:
    """What makes a file whole again: an evaluation, unless another taskct finished the run, as this one refuses it."""
    try:
        provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
        version, written = provenance["taskct_version"], provenance["stages"]["results"]["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        version, written = __version__, {name: None}
    if version != __version__:
        why = f"taskct {version} finished this run, and this is {__version__}"
    elif name in written or name in ("study.yaml", "provenance.json"):
        return f"run `taskct evaluate {run}`"
    else:
        why = "the taskct that finished this run wrote none, so it is an earlier one's"
    return (
        f"{why}: do the study anew by `taskct run {run / 'study.yaml'} --out NEW_FOLDER`, or make the page with that "
        "taskct"
    )


def _text(run: Path, name: str) -> str:
    try:
        return (run / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _broken(run, name, "is missing") from None
    except OSError as error:
        raise unreadable(run / name, error) from error
    except UnicodeDecodeError as error:
        raise _broken(run, name, f"cannot be read ({error})") from error


def _json(run: Path, name: str, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_python(json.loads(_text(run, name)))
    except json.JSONDecodeError as error:
        raise _broken(run, name, f"is not JSON ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _broken(run, name, f"is broken at '{where}' ({first['msg']})") from error


def _settings(run: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(_text(run, "study.yaml"))
    except yaml.YAMLError as error:
        raise _broken(run, "study.yaml", f"is not YAML ({error})") from error
    if not isinstance(settings, dict):
        raise _broken(run, "study.yaml", "holds no settings")
    return settings


def _rows(run: Path, name: str, columns: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the named columns of a CSV file, row by row."""
    try:
        with (run / name).open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise _broken(run, name, f"lacks the column {missing[0]}")
            index = [header.index(column) for column in columns]
            for row in reader:
                if len(row) != len(header):
                    why = f"has {len(row)} cells, not {len(header)}, in line {reader.line_num}"
                    raise _broken(run, name, why)
                yield tuple(row[i] for i in index)
    except FileNotFoundError:
        raise _broken(run, name, "is missing") from None
    except OSError as error:
        raise unreadable(run / name, error) from error


def _scores(run: Path) -> dict[tuple[str, int, str], Scores]:
    name = "scores.csv"
    columns = ["arm", "seed", "observer", "fitted", "signal_present", "test_statistic"]
    groups: dict[tuple[str, ...], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    try:
        for arm, seed, observer, fitted, present, value in _rows(run, name, columns):
            groups[arm, seed, observer, fitted][_TRUTH[present.lower()]].append(float(value))
        scores = {}
        for (arm, seed, observer, fitted), (absent, present_values) in groups.items():
            scores[arm, int(seed), observer_of(observer, fitted)] = Scores(np.array(present_values), np.array(absent))
    except UserError:
        raise
    except (KeyError, ValueError, csv.Error) as error:
        raise _broken(run, name, f"holds a value of the wrong kind ({error})") from error
    for (arm, _, observer), score in scores.items():
        if not (score.t_present.size and score.t_absent.size):
            raise _broken(run, name, f"has trials of one class only for arm '{arm}', observer '{observer}'")
        if not (np.isfinite(score.t_present).all() and np.isfinite(score.t_absent).all()):
            raise _broken(run, name, f"has a test statistic that is not finite for arm '{arm}', '{observer}'")
    return scores


def _site_bias(run: Path) -> dict[tuple[str, int], SiteBias]:
    name = "quality.csv"
    groups: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    try:
        for arm, seed, present, value in _rows(run, name, ["arm", "seed", "signal_present", "site_bias_hu"]):
            groups[arm, seed][_TRUTH[present.lower()]].append(float(value))
        return {
            (arm, int(seed)): SiteBias(present=np.array(with_signal), absent=np.array(without))
            for (arm, seed), (without, with_signal) in groups.items()
        }
    except UserError:
        raise
    except (KeyError, ValueError, csv.Error) as error:
        raise _broken(run, name, f"holds a value of the wrong kind ({error})") from error


def _examples(run: Path) -> Examples:
    name = "examples.npz"
    try:
        with np.load(run / name, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = dict(file)
        examples = Examples(
            trial=arrays["trial"].astype(np.int64),
            signal_present=arrays["signal_present"].astype(bool),
            center_px=arrays["center_px"].astype(np.float64),
            diameter_px=arrays["diameter_px"].astype(np.float64),
            reference=arrays["reference"].astype(np.float64),
            noisy=arrays["noisy"].astype(np.float64),
            denoised=_below("denoised/", arrays),
            template=_below("template/", arrays),
        )
    except FileNotFoundError:
        raise _broken(run, name, "is missing") from None
    except KeyError as error:
        raise _broken(run, name, f"lacks the array {error}") from error
    except OSError as error:
        raise unreadable(run / name, error) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(run, name, f"cannot be read ({error})") from error
    shape = examples.reference.shape
    if len(shape) != 3 or shape[0] == 0:
        raise _broken(run, name, f"has a reference of shape {shape}, not (trials, height, width)")
    for key, images in arrays.items():
        if (key == "noisy" or key.startswith("denoised/")) and images.shape != shape:
            raise _broken(run, name, f"has '{key}' of shape {images.shape}, not {shape}")
    wanted = {"trial": (shape[0],), "signal_present": (shape[0],), "diameter_px": (shape[0],)}
    for key, expected in {**wanted, "center_px": (shape[0], 2)}.items():
        if arrays[key].shape != expected:
            raise _broken(run, name, f"has '{key}' of shape {arrays[key].shape}, not {expected}")
    return examples


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    return {k.removeprefix(prefix): v.astype(np.float64) for k, v in arrays.items() if k.startswith(prefix)}


def _check_together(run: Run) -> None:
    if "test" not in run.task.n_backgrounds:
        raise _broken(run.path, "task.json", "lacks the number of test backgrounds")
    names = {arm.name for arm in run.summary.arms}
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    for needed in (LOW_DOSE, MSE, control, chosen):
        if needed not in names:
            raise _broken(run.path, "summary.json", f"lacks the arm '{needed}'")
    trained = {(arm.name, arm.seed) for arm in run.summary.arms}
    for name, seed in (("choices.json", run.choices.seed), ("tradeoff.json", run.tradeoff.seed)):
        for needed in (control, chosen):
            if (needed, seed) not in trained:
                raise _broken(run.path, name, f"quotes seed {seed}, of which summary.json has no arm '{needed}'")
    if run.tradeoff.seed != run.choices.seed:
        why = f"quotes seed {run.tradeoff.seed}, choices.json seed {run.choices.seed}"
        raise _broken(run.path, "tradeoff.json", why)
    if run.false_signals.control != control:
        why = f"has the control '{run.false_signals.control}', tradeoff.json '{control}'"
        raise _broken(run.path, "hallucination.json", why)
    painted = {(row.arm, row.seed) for row in run.false_signals.arms}
    for needed in (MSE, control, chosen):
        if needed not in run.examples.denoised:
            raise _broken(run.path, "examples.npz", f"lacks the array 'denoised/{needed}'")
    for observer, tradeoff in run.tradeoff.observers.items():
        within = tradeoff.within_tolerance
        if within is not None and within.arm not in names:
            raise _broken(run.path, "tradeoff.json", f"names '{within.arm}' for {observer}, no arm of summary.json")
    for arm in run.summary.arms:
        if (arm.name, arm.seed) not in run.site_bias:
            raise _broken(run.path, "quality.csv", f"lacks the arm '{arm.name}', seed {arm.seed}")
        if (arm.name, arm.seed) not in painted:
            raise _broken(run.path, "hallucination.json", f"lacks the arm '{arm.name}', seed {arm.seed}")
        for observer in arm.observers:
            if (arm.name, arm.seed, observer) not in run.scores:
                why = f"lacks arm '{arm.name}', seed {arm.seed}, observer '{observer}'"
                raise _broken(run.path, "scores.csv", why)
