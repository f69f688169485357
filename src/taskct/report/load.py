"""Read and check a run folder."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from taskct import __version__
from taskct.errors import UserError, unreadable
from taskct.files import read_truth_value
from taskct.names import CONTROL, LOW_DOSE, MSE, observer_of
from taskct.reading import check_regular, digests_of, read_json, read_npz
from taskct.report import schema
from taskct.report.run import Examples, Floats, HarmMaps, OfClasses, PhysicsCurves, Run

T = TypeVar("T")

# libyaml's safe loader where PyYAML was built with it: ten times as fast.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_run(folder: Path) -> Run:
    """Read every file that a report needs.

    Parameters
    ----------
    folder
        A run folder that `taskct evaluate` has finished.

    Raises
    ------
    UserError
        If a file is missing or broken, or two files do not belong together.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the run folder that `taskct evaluate` wrote")
    loaded = Run(
        path=folder,
        summary=_json(folder, "summary.json", schema.Summary),
        scores=_scores(folder),
        site_bias=dict(_of_classes(folder, "quality.csv", "site_bias_hu")),
        choices=_json(folder, "choices.json", schema.Choices),
        tradeoff=_json(folder, "tradeoff.json", schema.Tradeoff),
        false_signals=_json(folder, "hallucination.json", schema.FalseSignals),
        retraining=_json(folder, "retraining.json", schema.Retraining),
        groups=_json(folder, "groups.json", schema.Groups),
        task=_json(folder, "task.json", schema.TaskFile),
        examples=_examples(folder),
        settings=_settings(folder),
        provenance=_json(folder, "provenance.json", schema.Provenance),
        # Only there when a training went wrong.
        failures=_json(folder, "failures.json", schema.Failures)
        if (folder / "failures.json").exists()
        else schema.Failures([], []),
        **_further(folder),
        harm_maps=_harm_maps(folder) if (folder / "harm.npz").exists() else None,
        physics_curves=_physics_curves(folder) if (folder / "physics.npz").exists() else None,
    )
    for name, why in _disagreements(loaded):
        raise _broken(folder, name, why)
    for name in _changed(folder):
        there = (folder / name).exists()
        raise _broken(folder, name, "has changed since the evaluation left it" if there else "is missing")
    return loaded


FURTHER: dict[str, type[Any]] = {
    "limits": schema.Limits,
    "frozen": schema.Frozen,
    "efficiency": schema.Efficiency,
    "harm": schema.HarmFile,
    "physics": schema.PhysicsFile,
    "strata": schema.Strata,
    "conventions": schema.Conventions,
    "path": schema.TaskPathFile,
}
"""What the runs of earlier versions do not have, by the name of the file without `.json`."""


FIELDS = {"path": "task_path"}
"""Where a field of `Run` has another name than its file."""


def _further(folder: Path) -> dict[str, Any]:
    """Read the files of `FURTHER` that are there, by their names; one that is missing is left out."""
    return {
        FIELDS.get(name, name): _json(folder, f"{name}.json", kind)
        for name, kind in FURTHER.items()
        if (folder / f"{name}.json").exists()
    }


def _changed(folder: Path) -> Iterator[str]:
    """Result files that are not any more what was written, by the digests on record."""
    with _reading(folder, "provenance.json") as path:
        stages = read_json(path)["stages"]
        digests = (stages.get("results") or {}).get("digests") or {}
        found = digests_of(folder, digests)
        yield from (name for name, digest in digests.items() if found.get(name) != digest)


def _broken(folder: Path, name: str, why: str) -> UserError:
    return UserError(f"{folder / name} {' '.join(why.split())}; {_advice(folder, name)}")


def _advice(folder: Path, name: str) -> str:
    """What makes a file whole again: an evaluation, unless another taskct finished the run, as this one refuses it."""
    try:
        provenance = read_json(folder / "provenance.json")
        version, written = str(provenance["taskct_version"]), dict(provenance["stages"]["results"]["bytes"])
    except (UserError, KeyError, TypeError, ValueError):
        version, written = __version__, {name: None}
    if version != __version__:
        why = f"taskct {version} finished this run, and this is {__version__}"
    elif name in written or name in ("study.yaml", "provenance.json"):
        # A file of the size that it had stands for an evaluation that is done, until it is gone.
        delete = "delete it and " if name in written and (folder / name).exists() else ""
        return f"{delete}run `taskct evaluate {folder}`"
    else:
        why = "the taskct that finished this run wrote none, so it is an earlier one's"
    return (
        f"{why}: do the study anew by `taskct run {folder / 'study.yaml'} --out NEW_FOLDER`, or make the page with "
        "that taskct"
    )


@contextmanager
def _reading(folder: Path, name: str, otherwise: str = "cannot be read") -> Iterator[Path]:
    """The path of a file; what is wrong with it becomes one line."""
    try:
        yield folder / name
    except UserError:
        raise
    except FileNotFoundError:
        raise _broken(folder, name, "is missing") from None
    except OSError as error:
        raise unreadable(folder / name, error) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _broken(folder, name, f"is broken at '{where}' ({first['msg']})") from error
    except json.JSONDecodeError as error:
        raise _broken(folder, name, f"is not JSON ({error})") from error
    except yaml.YAMLError as error:
        raise _broken(folder, name, f"is not YAML ({error})") from error
    except KeyError as error:
        raise _broken(folder, name, f"lacks the array {error}") from error
    except MemoryError as error:
        raise _broken(folder, name, f"takes more memory than there is ({error})") from error
    except Exception as error:  # damage raises all kinds of errors
        raise _broken(folder, name, f"{otherwise} ({error or type(error).__name__})") from error


def _json(folder: Path, name: str, kind: type[T]) -> T:
    with _reading(folder, name) as path:
        check_regular(path)
        return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse))


def read_checked(path: Path, kind: type[T], advice: str) -> T:
    """A JSON file of a known form; a `UserError` with this advice if it is missing or broken."""
    content = read_json(path, "a result file", advice)
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is broken at '{where}' ({first['msg']}); {advice}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _settings(folder: Path) -> dict[str, Any]:
    with _reading(folder, "study.yaml") as path:
        check_regular(path)
        settings = yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML)
    if not isinstance(settings, dict):
        raise _broken(folder, "study.yaml", "holds no settings")
    return settings


_CHUNK_ROWS = 500  # rows of a table that are held as text at once: the collector of garbage looks at every one


def _columns(folder: Path, name: str, columns: Sequence[str]) -> Iterator[list[tuple[str, ...]]]:
    """Yield the named columns of a CSV file, some thousand rows at once."""
    check_regular(folder / name)
    with (folder / name).open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = [column for column in columns if column not in header]
        if missing:
            raise _broken(folder, name, f"lacks the column {missing[0]}")
        index = [header.index(column) for column in columns]
        before = reader.line_num
        while rows := list(islice(reader, _CHUNK_ROWS)):
            if set(map(len, rows)) != {len(header)}:
                at, row = next((k, row) for k, row in enumerate(rows, 1) if len(row) != len(header))
                raise _broken(folder, name, f"has {len(row)} cells, not {len(header)}, in line {before + at}")
            before = reader.line_num
            cells = list(zip(*rows, strict=True))
            yield [cells[i] for i in index]


def _of_classes(folder: Path, name: str, value: str, *keys: str) -> dict[tuple[Any, ...], OfClasses]:
    """A column of a CSV file by arm, seed and other columns, the trials of either class apart.

    The rows of one arm and observer stand together, so whole stretches are turned into arrays.
    """
    found: dict[tuple[Any, ...], tuple[list[Floats], list[Floats]]] = defaultdict(lambda: ([], []))
    with _reading(folder, name, "holds a value of the wrong kind"):
        for arms, seeds, *more, truth, numbers in _columns(
            folder, name, ["arm", "seed", *keys, "signal_present", value]
        ):
            known = {text: read_truth_value(text) for text in set(truth)}
            present = np.fromiter(map(known.__getitem__, truth), dtype=np.bool_, count=len(truth))
            values = np.fromiter(map(float, numbers), dtype=np.float64, count=len(numbers))
            start = 0
            for (arm, seed, *key), stretch in groupby(zip(arms, seeds, *more, strict=True)):
                part = slice(start, start := start + sum(1 for _ in stretch))
                of_present, of_absent = found[arm, int(seed), *key]
                of_present.append(values[part][present[part]])
                of_absent.append(values[part][~present[part]])
    return {key: OfClasses(np.concatenate(present), np.concatenate(absent)) for key, (present, absent) in found.items()}


def _scores(folder: Path) -> dict[tuple[str, int, str], OfClasses]:
    name, scores = "scores.csv", {}
    found = _of_classes(folder, name, "test_statistic", "observer", "fitted")
    for (arm, seed, observer, fitted), score in found.items():
        scores[arm, seed, observer_of(observer, fitted)] = score
        if not (score.present.size and score.absent.size):
            raise _broken(folder, name, f"has trials of one class only for arm '{arm}', observer '{observer}'")
        if not (np.isfinite(score.present).all() and np.isfinite(score.absent).all()):
            raise _broken(folder, name, f"has a test statistic that is not finite for arm '{arm}', '{observer}'")
    return scores


def _examples(folder: Path) -> Examples:
    name = "examples.npz"
    with _reading(folder, name) as path:
        if not path.exists():
            raise FileNotFoundError(path)
        arrays = read_npz(path, _advice(folder, name))
        examples = Examples(
            trial=arrays["trial"].astype(np.int64),
            signal_present=arrays["signal_present"].astype(bool),
            **{key: arrays[key].astype(np.float64) for key in ("center_px", "diameter_px", "reference", "noisy")},
            denoised=_below("denoised/", arrays),
            template=_below("template/", arrays),
            why=tuple(map(str, arrays.get("why", ()))),
        )
    shape = examples.reference.shape
    if len(shape) != 3 or shape[0] == 0:
        raise _broken(folder, name, f"has a reference of shape {shape}, not (trials, height, width)")
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(("trial", "signal_present", "diameter_px"), shape[:1])
    wanted |= {key: shape for key in arrays if key == "noisy" or key.startswith("denoised/")}
    wanted |= {"why": shape[:1]} if "why" in arrays else {}
    for key, expected in (wanted | {"center_px": (shape[0], 2)}).items():
        if arrays[key].shape != expected:
            raise _broken(folder, name, f"has '{key}' of shape {arrays[key].shape}, not {expected}")
    return examples


def _harm_maps(folder: Path) -> HarmMaps:
    name = "harm.npz"
    with _reading(folder, name) as path:
        arrays = read_npz(path, _advice(folder, name))
        frequency = arrays["frequency_per_mm"].astype(np.float64)
        found = {kind: _below(f"{kind}/", arrays) for kind in ("site_map", "region_map", "nps", "ttf")}
        for kind, by_arm in found.items():
            for arm, values in by_arm.items():
                if values.ndim != 2 if kind.endswith("map") else values.shape != frequency.shape:
                    raise _broken(folder, name, f"has '{kind}/{arm}' of shape {values.shape}")
        return HarmMaps(frequency, **found)


def _physics_curves(folder: Path) -> PhysicsCurves:
    name = "physics.npz"
    with _reading(folder, name) as path:
        arrays = read_npz(path, _advice(folder, name))
        frequency, distance = (arrays[axis].astype(np.float64) for axis in ("frequency_per_mm", "distance_mm"))
        along = {"nps_ratio": frequency, "noise_by_position": distance}
        found = {kind: _below(f"{kind}/", arrays) for kind in along}
        for kind, by_arm in found.items():
            for arm, values in by_arm.items():
                if values.ndim != 1 or values.shape != along[kind].shape:
                    raise _broken(folder, name, f"has '{kind}/{arm}' of shape {values.shape}")
        return PhysicsCurves(frequency, distance, found["nps_ratio"], found["noise_by_position"])


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    return {k.removeprefix(prefix): v.astype(np.float64) for k, v in arrays.items() if k.startswith(prefix)}


def _disagreements(run: Run) -> Iterator[tuple[str, str]]:
    """Where files do not belong together: the one to mend, and why."""
    if "test" not in run.task.n_backgrounds:
        yield "task.json", "lacks the number of test backgrounds"
    names = {arm.name for arm in run.summary.arms}
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    pretrained = [MSE] if control == CONTROL else []
    for needed in (LOW_DOSE, *pretrained, control, chosen):
        if needed not in names:
            yield "summary.json", f"lacks the arm '{needed}'"
    trained = {(arm.name, arm.seed) for arm in run.summary.arms}
    for name, seed in (("choices.json", run.choices.seed), ("tradeoff.json", run.tradeoff.seed)):
        for needed in (control, chosen):
            if (needed, seed) not in trained:
                yield name, f"quotes seed {seed}, of which summary.json has no arm '{needed}'"
    if run.tradeoff.seed != run.choices.seed:
        yield "tradeoff.json", f"quotes seed {run.tradeoff.seed}, choices.json seed {run.choices.seed}"
    if run.false_signals.control != control:
        yield "hallucination.json", f"has the control '{run.false_signals.control}', tradeoff.json '{control}'"
    for needed in (*pretrained, control, chosen):
        if needed != LOW_DOSE and needed not in run.examples.denoised:
            yield "examples.npz", f"lacks the array 'denoised/{needed}'"
    for name in FURTHER:
        found = getattr(run, FIELDS.get(name, name))
        rows = [*found.rows, *getattr(found, "paired", ())]
        if unknown := {row.arm for row in rows} - names:
            yield f"{name}.json", f"names '{min(unknown)}', no arm of summary.json"
    for observer, tradeoff in run.tradeoff.observers.items():
        within = tradeoff.within_tolerance
        if within is not None and within.arm not in names:
            yield "tradeoff.json", f"names '{within.arm}' for {observer}, no arm of summary.json"
        on_front = () if tradeoff.front is None else tradeoff.front.arms
        if unknown := {row.arm for row in on_front} - names:
            yield "tradeoff.json", f"names '{min(unknown)}' on the front of {observer}, no arm of summary.json"
    painted = {(row.arm, row.seed) for row in run.false_signals.arms}
    for arm in run.summary.arms:
        for name, known in (("quality.csv", set(run.site_bias)), ("hallucination.json", painted)):
            if (arm.name, arm.seed) not in known:
                yield name, f"lacks the arm '{arm.name}', seed {arm.seed}"
        for observer in arm.observers:
            if (arm.name, arm.seed, observer) not in run.scores:
                yield "scores.csv", f"lacks arm '{arm.name}', seed {arm.seed}, observer '{observer}'"
