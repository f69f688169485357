"""The stages of a run, each one function on a run folder: simulate, train, evaluate."""

from collections.abc import Callable
from typing import Any

import numpy as np

from taskct.config import ProfileSettings, Settings
from taskct.errors import UserError
from taskct.study.arms import CONTROL, MSE, Arm, arms_of
from taskct.study.evaluate import ArmResult, Evaluator, evaluate_all
from taskct.study.results import (
    choose,
    hallucination,
    over_seeds,
    quality_csv,
    scores_csv,
    summarize,
    trade_off,
    write_json,
    write_npz,
)
from taskct.study.simulate import simulate_store
from taskct.study.sources import DEFAULT_ORGANS
from taskct.study.stages import RunFolder, size_of
from taskct.study.train import train_all
from taskct.training.checkpoints import write_text
from taskct.trials import SPLITS, read_group_name, read_trials

Progress = Callable[[int, int, str], None]
OpenProgress = Callable[[str], Progress]
"""Opens the progress of a stage by its title; the result is called as (done, in all, detail)."""

RESULT_FILES = (
    "summary.json",
    "scores.csv",
    "quality.csv",
    "choices.json",
    "tradeoff.json",
    "hallucination.json",
    "retraining.json",
    "task.json",
    "examples.npz",
)


def simulate_stage(run: RunFolder, open_progress: OpenProgress | None = None, *, workers: int = 1) -> bool:
    """Simulate the trials into `RUN/trials` by some processes; returns whether that was still to do."""
    t = run.settings.trials
    side = t.region_pixels + 2 * t.margin_pixels
    needed = 2 * 4 * side**2 * sum(int(getattr(t, f"n_{name}")) for name in SPLITS)
    there = size_of(run.trials.with_name("trials.partial")) or 0
    if not run.is_done("simulate", [run.trials]) and run.free_bytes() + there < 1.2 * needed:
        raise UserError(
            f"the trials need {needed / 1e6:.0f} MB but {run.path} has {run.free_bytes() / 1e6:.0f} MB free: "
            "make room, or lower the numbers in trials"
        )

    def work() -> None:
        progress = None if open_progress is None else open_progress("simulate")
        simulate_store(run.trials, run.settings, device=run.device, workers=workers, progress=progress)

    return run.run_stage("simulate", work, [run.trials])


def train_stage(run: RunFolder, open_progress: OpenProgress | None = None) -> None:
    """Pretrain and fine-tune every arm that is not trained yet, into `RUN/models`."""
    train_all(run, progress=open_progress)


def evaluate_stage(run: RunFolder, open_progress: OpenProgress | None = None) -> bool:
    """Evaluate every arm and write the result files; returns whether that was still to do."""
    names = [f"finetune {arm.name} seed={arm.seed}" for arm in arms_of(run.settings) if arm.trained]
    depends_on = ["simulate", *(f"pretrain seed={seed}" for seed in run.settings.training.seeds), *names]

    def work() -> None:
        progress = None if open_progress is None else open_progress("evaluate")
        evaluator, results = evaluate_all(run, progress=progress)
        write_results(run, evaluator, results)
        if progress is not None:
            progress(len(results) + 1, len(results) + 1, "")

    return run.run_stage("evaluate", work, [run.path / name for name in RESULT_FILES], depends_on)


def write_results(run: RunFolder, evaluator: Evaluator, results: list[ArmResult]) -> None:
    """Write every result file of a run."""
    settings, test = run.settings, evaluator.splits["test"]
    choices = choose(results, settings)
    write_text(run.path / "scores.csv", scores_csv(results, test))
    write_text(run.path / "quality.csv", quality_csv(results, test))
    write_json(run.path / "choices.json", choices)
    write_json(run.path / "tradeoff.json", trade_off(results, test, settings))
    write_json(run.path / "hallucination.json", hallucination(results, test, settings))
    write_json(run.path / "retraining.json", over_seeds(results, test))
    write_json(run.path / "task.json", task_json(run, evaluator))
    write_npz(run.path / "examples.npz", examples(evaluator, results, str(choices["chosen_arm"])))
    write_json(run.path / "summary.json", summarize(results, test, settings))


def task_json(run: RunFolder, evaluator: Evaluator) -> dict[str, Any]:
    """`task.json`: what the task was, and how many trials and distinct backgrounds stand behind the figures."""
    settings = run.settings
    e = settings.evaluation
    all_splits = {**evaluator.splits, "train": read_trials(run.trials, "train")}
    return {
        "description": describe(settings),
        "n_trials": {name: len(all_splits[name]) for name in SPLITS},
        "n_backgrounds": {name: len(np.unique(all_splits[name].truth["case"])) for name in SPLITS},
        "group_name": read_group_name(run.trials),
        "background_note": background_note(settings),
        "observer_notes": evaluator.observer_notes,
        "pixel_mm": settings.scanner.pixel_mm,
        "roi_px": settings.trials.region_pixels,
        "data_range_hu": e.data_range_hu,
        "window_hu": list(e.window_hu),
        "difference_window_hu": e.difference_window_hu,
    }


BACKGROUNDS = {
    "torso": "a torso phantom that differs in every trial",
    "abdomen": "an abdomen of ellipses that differs in every trial",
    "thorax": "a thorax of ellipses that differs in every trial",
    "uniform": "a uniform body",
    "lumpy": "a body with a lumpy texture",
    "clustered-lumpy": "a body with a clustered lumpy texture",
    "power-law": "a body with a power-law texture",
    "label-map": "slices of a label map with new HU and texture in every trial, mirrored and shifted at random",
    "series": "slices of a real CT series, mirrored and shifted at random, the region at a random place in the tissue",
    "paired": "slices of real CT at two doses, mirrored and shifted at random, the region at a random place",
}


def _organ(settings: Settings) -> str:
    organ = settings.background.organ or DEFAULT_ORGANS.get(settings.background.kind, "organ")
    return f"the organ labelled {organ}" if organ.isdecimal() else f"the {organ}"


def _values(pair: tuple[float, float]) -> str:
    low, high = pair
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _profile(profile: ProfileSettings) -> str:
    """Shape, contrast and size of a signal in words."""
    nouns = {"ellipsoid": "an ellipsoid", "lobulated": "a lobulated", "lidc": "a real (LIDC)"}
    shapes = " or ".join(nouns.get(shape, f"a {shape}") for shape in profile.shape)
    noun = "" if profile.shape[-1] in ("disc", "sphere", "gaussian", "nodule", "ellipsoid") else " lesion"
    size = "full width at half maximum" if profile.shape == ("gaussian",) else "diameter"
    return f"{shapes}{noun} of {_values(profile.contrast_hu)} HU contrast and {_values(profile.diameter_mm)} mm {size}"


def describe(settings: Settings) -> str:
    """The task in one paragraph."""
    g, h0 = settings.signal, settings.absent_signal
    place = {
        "square": f"within ±{g.position_mm:g} mm of the region's centre in x and y",
        "disc": f"within {g.position_mm:g} mm of the region's centre",
        "list": f"at {len(g.sites_mm)} known place{'s' if len(g.sites_mm) > 1 else ''}",
        "organ": f"in {_organ(settings)}",
    }[g.site]
    verb, other = ("Tell", f" from {_profile(h0)}") if h0.inserted else ("Detect", "")
    task = f"{verb} {_profile(g)}{other}, {place}, in {BACKGROUNDS[settings.background.kind]} "
    return f"{task}(signal and background known statistically). {_scan(settings)}"


def _scan(settings: Settings) -> str:
    """How the images come about, in words."""
    s = settings.scanner
    if settings.background.kind == "paired":
        return "The noisy image is the low-dose series, the reference the normal-dose one."
    beam = {"flat": "fan beam, flat detector", "curved": "fan beam, curved detector", "parallel": "parallel beam"}
    dose = f"{s.dose_fraction:g} of full dose"
    if s.exposure == "i0":
        dose = f"{s.i0 * s.dose_fraction:,.0f} photons a ray ({dose})"
    elif s.exposure == "mas":
        dose = f"{s.mas * s.dose_fraction:g} mAs ({dose})"
    else:
        dose = f"{dose}, which is {s.noise_hu:g} HU in {s.noise_body_mm:g} mm of water"
    parts = [
        f"{s.model}: {beam[s.detector]}" if s.model else beam[s.detector].capitalize(),
        "short scan" if s.scan == "short" else "full turn",
        f"{s.n_views} views a turn of {s.n_bins} bins",
        f"{s.kvp} kV spectrum with water beam-hardening correction" if s.energy == "poly" else "",
        f"bowtie for {s.bowtie_mm:g} mm" if s.bowtie_mm else "",
        f"tube current modulated ({s.tube_modulation:g})" if s.tube_modulation else "",
        f"slices of {s.slice_mm:g} mm" if s.slice_mm else "",
        dose,
    ]
    scan = ", ".join(part for part in parts if part)
    if s.acquisition == "insertion":
        return (
            f"{scan}: the noise that is missing, filtered by {s.filter}, is added to the image, which is the reference."
        )
    reference = "the noise-free" if s.reference == "noise-free" else "a full-dose"
    return (
        f"{scan}, filtered backprojection ({s.filter}) at {s.pixel_mm:g} mm pixels; the reference is {reference} "
        "image of the same object."
    )


def background_note(settings: Settings) -> str | None:
    """What limits the backgrounds, or None."""
    if settings.background.kind not in ("series", "paired", "label-map"):
        return None
    noise = (
        ""
        if settings.background.kind == "label-map"
        else ("The series' own noise is part of these backgrounds and of the reference. ")
    )
    return noise + (
        "What is kept apart between the "
        "splits is the patient, or the slice of the only patient; then the slices are split in blocks of neighbours, "
        "which look alike at the blocks' edges. Trials that share a background are not independent, and the "
        "intervals do not know it."
    )


def examples(evaluator: Evaluator, results: list[ArmResult], chosen: str) -> dict[str, np.ndarray]:
    """`examples.npz`: the panel's trials of the first seed, and the joint templates."""
    settings, test, index = evaluator.settings, evaluator.splits["test"], evaluator.examples
    middle = (settings.trials.region_pixels - 1) / 2.0
    place = np.stack([test.truth["y_mm"], test.truth["x_mm"]], axis=1)[index] / settings.scanner.pixel_mm + middle
    place[~test.signal_present[index]] = np.nan
    arrays: dict[str, np.ndarray] = {
        "trial": index,
        "signal_present": test.signal_present[index],
        "center_px": place,
        "diameter_px": test.truth["diameter_mm"][index] / settings.scanner.pixel_mm,
        "reference": evaluator.reference["test"][index],
        "noisy": evaluator.images(Arm("low-dose", 0))["test"][index],
    }
    for r in results:
        if r.arm.seed != settings.training.seeds[0]:
            continue
        if r.arm.name in (MSE, CONTROL, chosen):
            arrays[f"denoised/{r.arm.name}"] = r.examples
        if r.template is not None:
            arrays[f"template/{r.arm.name}"] = r.template
    return arrays
