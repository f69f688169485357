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
from taskct.names import CONTROL, LOW_DOSE, MSE, fitted_as, setting_text
from taskct.progress import Progress
from taskct.simulation.describe import background_note, describe
from taskct.study.arm_result import ArmResult, read_result
from taskct.study.arms import Arm, arms_of
from taskct.study.choices import choose, quoted_seed
from taskct.study.evaluate import example_trials
from taskct.study.graph import evaluation_stage
from taskct.study.groups import group_labels, group_of
from taskct.study.resampling import CONFIDENCE, unit_of
from taskct.study.run_folder import RunFolder, ended
from taskct.study.summary import by_group, compared, hallucination, retraining, summarize
from taskct.study.tradeoff import trade_off
from taskct.trials.store import read_case_kind
from taskct.trials.trials import SPLITS, Trials


def collect(run: RunFolder) -> list[ArmResult]:
    """What was found of every arm that was evaluated, in the report's order; all seeds have one low-dose arm's."""
    done, arms = set(ended(run)), arms_of(run.settings)
    low_dose = next(arm for arm in arms if arm.name == LOW_DOSE)
    results = []
    for arm in arms:
        if evaluation_stage(arm) in done:
            found = read_result(run, low_dose if arm.name == LOW_DOSE else arm)
            results.append(dataclasses.replace(found, arm=arm))
    return results


def write_results(run: RunFolder, *, progress: Progress | None = None) -> None:
    """Write every result file of a run from its evaluations; `UserError` if they are too few to compare, or broken."""
    settings, test, results = run.settings, run.read("test"), collect(run)
    choices, unit, labels = choose(results, settings), unit_of(test), group_labels(settings)
    of_head = group_of(settings, test)
    contents: dict[str, Callable[[], Any]] = {
        "scores.csv": lambda: scores_csv(results, test),
        "quality.csv": lambda: quality_csv(results, test),
        "choices.json": lambda: choices,
        "tradeoff.json": lambda: trade_off(results, test, settings),
        "hallucination.json": lambda: hallucination(results, test, settings),
        "retraining.json": lambda: {"confidence": CONFIDENCE, "rows": retraining(results, compared(results), unit)},
        "groups.json": lambda: {"rows": by_group(results, of_head, labels, unit)},
        "task.json": lambda: task_json(run, test, observer_notes(results)),
        "examples.npz": lambda: examples(settings, test, results, str(choices["chosen_arm"])),
        "summary.json": lambda: summarize(results, test, settings),
    }
    writers: dict[str, Callable[[Path, Any], None]] = {".csv": write_text, ".json": write_json, ".npz": write_npz}
    for done, (name, make) in enumerate(contents.items()):
        if progress is not None:
            progress(done, len(contents), name)
        writers[Path(name).suffix](run.path / name, make())
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


def examples(settings: Settings, test: Trials, results: list[ArmResult], chosen: str) -> dict[str, np.ndarray]:
    """`examples.npz`: the panel's trials of the quoted seed, and the joint templates."""
    index, seed = example_trials(settings, test), quoted_seed([r.arm for r in results], settings)
    middle = (settings.trials.region_pixels - 1) / 2.0
    place = np.stack([test.truth["y_mm"], test.truth["x_mm"]], axis=1)[index] / settings.scanner.pixel_mm + middle
    place[~test.signal_present[index]] = np.nan
    arrays: dict[str, np.ndarray] = {
        "trial": index,
        "signal_present": test.signal_present[index],
        "center_px": place,
        "diameter_px": test.truth["diameter_mm"][index] / settings.scanner.pixel_mm,
        "reference": test.reference_regions[index],
    }
    for r in results:
        if r.arm.seed != seed:
            continue
        if r.arm.name == LOW_DOSE:
            arrays["noisy"] = r.examples
        if r.arm.name in (MSE, CONTROL, chosen):
            arrays[f"denoised/{r.arm.name}"] = r.examples
        if r.template is not None:
            arrays[f"template/{r.arm.name}"] = r.template
    return arrays


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
