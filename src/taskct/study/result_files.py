"""The result files of a run, made of what the evaluations of its arms found."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from taskct.config import Settings
from taskct.files import write_json, write_npz, write_text
from taskct.progress import Progress
from taskct.simulation.describe import background_note, describe
from taskct.study.areas import by_group
from taskct.study.arms import CONTROL, LOW_DOSE, MSE, arms_of
from taskct.study.choices import choose, quoted_seed
from taskct.study.evaluate import example_trials
from taskct.study.evaluated import ArmResult, read_result
from taskct.study.false_signals import hallucination
from taskct.study.graph import evaluation_stage
from taskct.study.groups import group_labels, group_of
from taskct.study.resampling import unit_of
from taskct.study.run_folder import RunFolder, ended
from taskct.study.summary import over_seeds, quality_csv, scores_csv, summarize
from taskct.study.tradeoff import trade_off
from taskct.trials.store import read_case_kind
from taskct.trials.trials import SPLITS, Trials


def collect(run: RunFolder) -> list[ArmResult]:
    """What was found of every arm that was evaluated, in the report's order.

    The low-dose images are the same for every training seed.
    """
    done, arms = set(ended(run)), arms_of(run.settings)
    low_dose = next(arm for arm in arms if arm.name == LOW_DOSE)
    results = []
    for arm in arms:
        if evaluation_stage(arm) in done:
            found = read_result(run, low_dose if arm.name == LOW_DOSE else arm)
            results.append(dataclasses.replace(found, arm=arm))
    return results


def write_results(run: RunFolder, *, progress: Progress | None = None) -> None:
    """Write every result file of a run from what the evaluations of its arms found.

    Parameters
    ----------
    run
        A run folder with evaluated arms.
    progress
        Called as (files done, files in all, what is next).

    Raises
    ------
    UserError
        If what is there is too little to compare, or broken.
    """
    settings, test, results = run.settings, run.read("test"), collect(run)
    choices = choose(results, settings)
    notes = observer_notes(results)

    def write(done: int, name: str, make: Callable[[], object]) -> None:
        if progress is not None:
            progress(done, 10, name)
        content = make()
        if isinstance(content, str):
            write_text(run.path / name, content)
        else:
            write_json(run.path / name, content)

    write(0, "scores.csv", lambda: scores_csv(results, test))
    write(1, "quality.csv", lambda: quality_csv(results, test))
    write(2, "choices.json", lambda: choices)
    write(3, "tradeoff.json", lambda: trade_off(results, test, settings))
    write(4, "hallucination.json", lambda: hallucination(results, test, settings))
    write(5, "retraining.json", lambda: over_seeds(results, test))
    labels = group_labels(settings)
    write(6, "groups.json", lambda: {"rows": by_group(results, group_of(settings, test), labels, unit_of(test))})
    write(7, "task.json", lambda: task_json(run, test, notes))
    write_npz(run.path / "examples.npz", examples(settings, test, results, str(choices["chosen_arm"])))
    write(9, "summary.json", lambda: summarize(results, test, settings))
    if progress is not None:
        progress(10, 10, "")


def observer_notes(results: Sequence[ArmResult]) -> dict[str, str]:
    """What is to be known of each fresh observer: why it is missing in some arms, else what was said of the last one.

    Parameters
    ----------
    results
        Every arm.
    """
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
    """`task.json`: what the task was, and how many trials and distinct backgrounds stand behind the figures.

    Parameters
    ----------
    run
        The run folder.
    test
        Its test trials.
    notes
        What is to be known of a fresh observer, by name.
    """
    settings = run.settings
    e = settings.evaluation
    all_splits = {name: test if name == "test" else run.read(name) for name in SPLITS}
    return {
        "description": describe(settings),
        "n_trials": {name: len(all_splits[name]) for name in SPLITS},
        "n_backgrounds": {name: len(np.unique(all_splits[name].truth["case"])) for name in SPLITS},
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
