"""The result files of a run, made of what the evaluations of its arms found."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.files import write_json, write_npz, write_text
from taskct.metrics.spectra import frequencies_per_mm
from taskct.names import fitted_as, setting_text
from taskct.progress import Progress
from taskct.reading import read_json
from taskct.simulation.describe import background_note, describe
from taskct.study.arm_result import ArmResult, read_result
from taskct.study.arms import Arm, arms_of
from taskct.study.choices import CHOICE_OBSERVER, choose
from taskct.study.conventions import explained
from taskct.study.efficiency import efficiency, limits_of
from taskct.study.evaluate import images_of_trials, mix, share_of
from taskct.study.frozen import WORKING_FPF, frozen_rows
from taskct.study.graph import evaluation_stage
from taskct.study.groups import group_labels, group_of
from taskct.study.harm import HOW
from taskct.study.limits import limits
from taskct.study.model_results import model_results, models_of, results_path
from taskct.study.panel import examples
from taskct.study.path_results import path_json
from taskct.study.physics import HOW as OF_PHYSICS
from taskct.study.physics import distances_mm
from taskct.study.resampling import CONFIDENCE, Unit, unit_of
from taskct.study.run_folder import RunFolder, ended
from taskct.study.strata import strata_rows
from taskct.study.summary import by_group, compared, hallucination, retraining, summarize
from taskct.study.tradeoff import trade_off
from taskct.trials.store import read_case_kind
from taskct.trials.trials import SPLITS, Trials, select


def collect(run: RunFolder) -> list[ArmResult]:
    """What was found of every arm that was evaluated, in the report's order; what is seedless is the same for all."""
    done, arms = set(ended(run)), arms_of(run.settings)
    first = {arm.name: arm for arm in reversed(arms)}
    results = []
    for arm in arms:
        if evaluation_stage(arm) in done:
            found = read_result(run, first[arm.name] if arm.seedless else arm)
            results.append(dataclasses.replace(found, arm=arm))
    return results


def write_results(run: RunFolder, *, progress: Progress | None = None) -> None:
    """Write every result file of a run from its evaluations; `UserError` if they are too few to compare, or broken."""
    settings, test, results = run.settings, run.read("test"), collect(run)
    choices, unit, labels = choose(results, settings), unit_of(test), group_labels(settings)
    of_head, chosen, seed = group_of(settings, test), str(choices["chosen_arm"]), int(choices["seed"])
    in_limit = limits(results, unit, settings.trials.n_fresh)
    contents: dict[str, Callable[[], Any]] = {
        "scores.csv": lambda: scores_csv(results, test),
        "quality.csv": lambda: quality_csv(results, test),
        "choices.json": lambda: choices,
        "tradeoff.json": lambda: trade_off(results, test, settings),
        "hallucination.json": lambda: hallucination(results, test, settings),
        "retraining.json": lambda: {"confidence": CONFIDENCE, "rows": retraining(results, compared(results), unit)},
        "groups.json": lambda: {"rows": by_group(results, of_head, labels, unit)},
        "task.json": lambda: task_json(run, test, observer_notes(results)),
        "examples.npz": lambda: examples(
            settings, test, results, chosen=chosen, seed=seed, denoise=_Denoised(run, test)
        ),
        "frozen.json": lambda: frozen(results, unit),
        "limits.json": lambda: in_limit,
        "efficiency.json": lambda: efficiency(
            results, unit, chosen=chosen, seed=seed, limits=limits_of(in_limit, seed)
        ),
        "harm.json": lambda: harm_json(results),
        "harm.npz": lambda: harm_arrays(results, settings, seed),
        "physics.json": lambda: physics_json(results),
        "physics.npz": lambda: physics_arrays(results, settings, seed),
        "strata.json": lambda: {"rows": list(strata_rows(results, test, settings, unit))},
        "conventions.json": lambda: conventions_json(results),
        "path.json": lambda: path_json(run, results, test, seed=seed),
        "summary.json": lambda: summarize(results, test, settings),
    }
    writers: dict[str, Callable[[Path, Any], None]] = {".csv": write_text, ".json": write_json, ".npz": write_npz}
    for done, (name, make) in enumerate(contents.items()):
        if progress is not None:
            progress(done, len(contents), name)
        writers[Path(name).suffix](run.path / name, make())
    summary = read_json(run.path / "summary.json")
    for stem, arms in models_of(arms_of(settings)).items():
        write_json(results_path(run.weights(stem)), model_results(settings, summary, arms))
    if progress is not None:
        progress(len(contents), len(contents), "")


def observer_notes(results: Sequence[ArmResult]) -> dict[str, str]:
    """What is to be known of each fresh observer: why some arms lack it, else what was said of the last one."""
    left_out: dict[str, dict[str, None]] = {}
    said: dict[str, str] = {}
    for result in results:
        for name, text in result.notes.items():
            if name in result.scores:
                said[name] = text
            else:
                left_out.setdefault(name, {})[text] = None
    return said | {name: "; ".join(texts) for name, texts in left_out.items()}


def task_json(run: RunFolder, test: Trials, notes: dict[str, str]) -> dict[str, Any]:
    """`task.json`: what the task was, and how many trials and distinct backgrounds stand behind the figures."""
    settings = run.settings
    e = settings.evaluation
    all_splits = {name: test if name == "test" else run.read(name) for name in SPLITS}
    return {
        "description": describe(settings),
        "n_trials": {name: len(all_splits[name]) for name in SPLITS},
        "n_backgrounds": {name: len(np.unique(all_splits[name].truth["case"])) for name in SPLITS},
        "n_shared_backgrounds": shared_backgrounds([trials.truth["case"] for trials in all_splits.values()]),
        "group_name": read_case_kind(run.trials),
        "resampling": unit_of(test).as_json(),
        "background_note": background_note(settings),
        "observer_notes": notes,
        "pixel_mm": settings.scanner.pixel_mm,
        "roi_px": settings.trials.region_pixels,
        "data_range_hu": e.data_range_hu,
        "window_hu": list(e.window_hu),
        "difference_window_hu": e.difference_window_hu,
    }


def shared_backgrounds(cases: Iterable[NDArray[np.floating]]) -> int:
    """How many backgrounds stand in more than one split, from the backgrounds of the trials of each."""
    distinct = np.concatenate([np.unique(one) for one in cases])
    return int((np.unique(distinct, return_counts=True)[1] > 1).sum())


class _Denoised:
    """Some test trials as arms show them; an arm that is mixed has them from what its parts gave before."""

    def __init__(self, run: RunFolder, test: Trials) -> None:
        self._run = run
        self._test = test
        self._made: dict[str, NDArray[np.float32]] = {}

    def __call__(self, result: ArmResult, index: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._of(result.arm, index)

    def _of(self, arm: Arm, index: NDArray[np.int64]) -> NDArray[np.float32]:
        if arm.name not in self._made:
            if arm.mixed:
                control, task = (self._of(part, index) for part in arm.parts)
                self._made[arm.name] = mix(share_of(self._run, arm), control, task)
            else:
                chosen = {"test": select(self._test, index)}
                self._made[arm.name] = images_of_trials(self._run, arm, chosen, index)["test"]
        return self._made[arm.name]


def frozen(results: Sequence[ArmResult], unit: Unit) -> dict[str, Any]:
    """`frozen.json`: observers fitted on other images, with their paired differences from the control."""
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    rows: list[Any] = []
    for r in results:
        base = by_name.get((r.arm.base or "", r.arm.seed))
        rows += frozen_rows(r.arm, r.frozen, {} if base is None else base.frozen, unit)
    return {"rows": rows}


def harm_json(results: Sequence[ArmResult]) -> dict[str, Any]:
    """`harm.json`: what each arm does to contrast, noise and resolution, and how often its observers are misled."""
    rows = []
    for r in results:
        if not r.harm.numbers:
            continue
        misled = r.harm.numbers["false_positives"]
        own = [one for one in misled if one["fitted_on"] == "own"]
        quoted = next((one for one in own if one["observer"] == CHOICE_OBSERVER), own[0] if own else None)
        rows.append(
            {
                "arm": r.arm.name,
                "seed": r.arm.seed,
                "false_positive_fraction": None if quoted is None else quoted["false_positive_fraction"],
                "false_positive_observer": None if quoted is None else quoted["observer"],
                **r.harm.numbers,
            }
        )
    return {"how": HOW, "working_fpf": WORKING_FPF, "rows": rows}


def harm_arrays(results: Sequence[ArmResult], settings: Settings, seed: int) -> dict[str, NDArray[Any]]:
    """`harm.npz`: maps and spectra of the arms of the quoted seed."""
    side = settings.trials.region_pixels
    arrays: dict[str, NDArray[Any]] = {
        "frequency_per_mm": frequencies_per_mm((side, side), settings.scanner.pixel_mm),
    }
    for r in results:
        if r.arm.seed == seed:
            arrays |= {f"{kind}/{r.arm.name}": array for kind, array in r.harm.arrays.items()}
    return arrays


def physics_json(results: Sequence[ArmResult]) -> dict[str, Any]:
    """`physics.json`: noise, resolution, HU, CNR, evenness and d′ of spectra, of each arm's images."""
    rows = [{"arm": r.arm.name, "seed": r.arm.seed, **r.physics.numbers} for r in results if r.physics.numbers]
    return {"how": OF_PHYSICS, "rows": rows}


def physics_arrays(results: Sequence[ArmResult], settings: Settings, seed: int) -> dict[str, NDArray[Any]]:
    """`physics.npz`: curves of the arms of the quoted seed, by frequency and by distance from the middle."""
    side, pixel_mm = settings.trials.region_pixels, settings.scanner.pixel_mm
    arrays: dict[str, NDArray[Any]] = {
        "frequency_per_mm": frequencies_per_mm((side, side), pixel_mm),
        "distance_mm": distances_mm(side, pixel_mm),
    }
    for r in results:
        if r.arm.seed == seed:
            arrays |= {f"{kind}/{r.arm.name}": array for kind, array in r.physics.arrays.items()}
    return arrays


def conventions_json(results: Sequence[ArmResult]) -> dict[str, Any]:
    """`conventions.json`: image quality as public benchmarks count it, and what each convention is."""
    rows = [{"arm": r.arm.name, "seed": r.arm.seed, **row} for r in results for row in r.conventions]
    return {"conventions": explained(), "rows": rows}


def scores_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`scores.csv`: every test statistic of every trial, arm, observer and seed, and the background it shows."""
    header = ["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic", "case"]
    present, case = _truth(test)
    rows = (
        (r.arm.name, _weight(r.arm), r.arm.seed, *fitted_as(name), i, present[i], f"{t:.9g}", case[i])
        for r in results
        for name, scores in r.scores.items()
        for i, t in enumerate(scores.tolist())
    )
    return _csv(header, rows)


def quality_csv(results: Sequence[ArmResult], test: Trials) -> str:
    """`quality.csv`: image quality and the bias at the signal's site, trial by trial, and the background it shows."""
    names = ("mse_hu2", "psnr_db", "ssim", "site_bias_hu", "peak_disc_hu")
    present, case = _truth(test)
    rows = (
        (r.arm.name, _weight(r.arm), r.arm.seed, i, present[i], *(f"{value:.7g}" for value in values), case[i])
        for r in results
        for i, values in enumerate(zip(*(r.quality[name].tolist() for name in names), strict=True))
    )
    return _csv(["arm", "lambda", "seed", "trial", "signal_present", *names, "case"], rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def _truth(test: Trials) -> tuple[list[int], list[int]]:
    """Whether the signal is there, 0 or 1, and the number of the background, of every trial."""
    return test.signal_present.astype(int).tolist(), test.truth["case"].astype(int).tolist()


def _weight(arm: Arm) -> str:
    """λ as the tables have it; empty without one."""
    return "" if arm.task_weight is None else setting_text(arm.task_weight)
