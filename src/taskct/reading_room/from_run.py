"""A reading study's cases from a run: test trials, as some of its arms show them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.names import LOW_DOSE, MSE, ArmName
from taskct.reading import read_json
from taskct.reading_room.cases import CaseImages, Material, whole_hu
from taskct.reading_room.design import ReadingPlan, draw_cases, share_of, training_share
from taskct.reading_room.key import Lesion
from taskct.seeds import derive_seed
from taskct.study.arms import Arm, arms_of, control_of
from taskct.study.evaluate import images_of_trials, mix
from taskct.study.evaluate import share_of as share_of_parts
from taskct.study.run_folder import RunFolder
from taskct.study.strata import strata_of
from taskct.trials.trials import Trials, select

N_CASES = 100
"""That a run proposes to read in each arm."""

N_TRAINING = 10
"""Training trials that a run proposes."""

TRAINING_CONTRAST = 3.0
"""How many times its own contrast a signal has in a training trial."""

CHOSEN, CONTROL_ALIAS = "chosen", "control"
"""Other names of arms: the one that the run quotes, and its fair control."""


def material_of_run(path: Path, plan: ReadingPlan, arms: Sequence[str] = (), *, device: str = "auto") -> Material:
    """Cases of a run for a plan, drawn from its test trials, with training cases of its fresh trials.

    Parameters
    ----------
    path
        A run folder that is evaluated; nothing is changed in it.
    plan
        What the organiser decided.
    arms
        Names as `scores.csv` has them, "chosen" or "control"; none for the low-dose images, the MSE denoiser and the
        chosen arm. They are of the training seed that the run quotes.
    device
        Where denoisers run: "auto", "cpu" or "cuda".

    Raises
    ------
    UserError
        If the run is not evaluated, an arm is unknown, or there are too few trials.
    """
    run = RunFolder(path, None, device=resolve_device(device), read_only=True)
    chosen = arms_of_run(run, arms)
    test = run.read("test")
    counts = int(test.signal_present.sum()), int((~test.signal_present).sum())
    share = share_of(plan, *counts, N_CASES)
    index = draw_cases(test.signal_present, share, np.random.default_rng(derive_seed(plan.seed, "reading", "cases")))
    notes = []
    if run.settings.absent_signal.inserted:
        notes.append(
            "trials without the signal hold another one here: say in --question and --instructions which is wanted"
        )
    if share.n_sets * (plan.n_alternatives - 1) > share.n_absent:
        notes.append(_reused(plan, share.n_sets, share.n_absent))
    training, why = _training(run, chosen, plan)
    return Material(
        cases=_cases(run, chosen, "test", test, index),
        training=training,
        pixel_mm=run.settings.scanner.pixel_mm,
        window_hu=run.settings.evaluation.window_hu,
        source=f"test trials of the run {path.resolve().name}, training seed {chosen[0].seed}",
        notes=(*notes, *why),
    )


def _reused(plan: ReadingPlan, n_sets: int, n_absent: int) -> str:
    times = -(-n_sets * (plan.n_alternatives - 1) // n_absent)
    return (
        f"{n_absent} images without a signal are too few for {n_sets} trials: each is shown up to {times} times in "
        "each arm, readers may know it again, and intervals take the trials as independent"
    )


def arms_of_run(run: RunFolder, names: Sequence[str]) -> list[Arm]:
    """The arms named, of the quoted training seed, each once."""
    file = run.path / "choices.json"
    if not file.is_file():
        raise UserError(f"{run.path} is not evaluated yet: `taskct run --out {run.path}` does what is left")
    choices = read_json(file, "the choices of a run", "`taskct evaluate` makes them anew")
    try:
        quoted, seed = str(choices["chosen_arm"]), int(choices["seed"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{file} is broken: `taskct evaluate` makes it anew") from None
    known = {arm.name: arm for arm in arms_of(run.settings) if arm.seed == seed}
    if not names:
        return [known[name] for name in dict.fromkeys((LOW_DOSE, MSE, quoted)) if name in known]
    alias = {CHOSEN: quoted, CONTROL_ALIAS: control_of(run.settings)}
    found: dict[str, Arm] = {}
    for given in names:
        name = alias.get(given, _normal(given))
        if name not in known:
            raise UserError(f"--arms: the run has no arm {given!r}; its arms are {', '.join(known)}")
        if name in found:
            raise UserError(f"--arms: the arm {name!r} is named twice")
        found[name] = known[name]
    return list(found.values())


def _normal(name: str) -> str:
    """The name of an arm as files have it, such as `lambda=0.7` for `lambda=0.70`."""
    try:
        return str(ArmName.parse(name))
    except ValueError:
        return name


def arm_regions(run: RunFolder, arm: Arm, split: str, trials: Trials, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Regions of some trials of a split as an arm shows them, HU, `(k, height, width)`.

    `index` are their numbers within the split, for images that were made elsewhere.
    """
    if arm.mixed:
        control, task = (arm_regions(run, part, split, trials, index) for part in arm.parts)
        return mix(share_of_parts(run, arm), control, task)
    return np.asarray(images_of_trials(run, arm, {split: trials}, index)[split])


def _cases(
    run: RunFolder, arms: Sequence[Arm], split: str, trials: Trials, index: NDArray[np.int64], prefix: str = "trial"
) -> CaseImages:
    some = select(trials, index)
    return CaseImages(
        images={
            arm.name: whole_hu(arm_regions(run, arm, split, some, index), f"{arm.name}, {split} trials") for arm in arms
        },
        names=tuple(f"{prefix} {number}" for number in index),
        present=some.signal_present,
        lesions=tuple(lesions_of(run, some)),
        backgrounds=tuple(f"background {int(case)}" for case in some.truth["case"]),
        groups=tuple(groups_of(run, some)),
    )


def lesions_of(run: RunFolder, trials: Trials) -> list[tuple[Lesion, ...]]:
    """The signal of each trial, in pixels of the region."""
    pixel, truth = run.settings.scanner.pixel_mm, trials.truth
    middle = (run.settings.trials.region_pixels - 1) / 2.0
    return [
        (
            Lesion(
                float(truth["y_mm"][i] / pixel + middle),
                float(truth["x_mm"][i] / pixel + middle),
                float(truth["diameter_mm"][i]),
                float(truth["contrast_hu"][i]),
            ),
        )
        if trials.signal_present[i]
        else ()
        for i in range(len(trials))
    ]


def groups_of(run: RunFolder, trials: Trials) -> list[str]:
    """The stratum of each trial with a signal, in words: halves of sizes and contrasts, where these vary."""
    groups = [""] * len(trials)
    for stratum in strata_of(run.settings, trials):
        words = f"{_span_text(stratum.size_mm)} mm, {_span_text(stratum.contrast_hu)} HU"
        for number in np.flatnonzero(stratum.signals):
            groups[number] = words
    return groups


def _span_text(span: tuple[float, float]) -> str:
    low, high = span
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _training(run: RunFolder, arms: Sequence[Arm], plan: ReadingPlan) -> tuple[CaseImages | None, list[str]]:
    """Fresh trials, whose objects are none of the test trials', with their signals made stronger; and what to know.

    They are shown as the first arm that denoises here shows them.
    """
    fresh = run.read("fresh")
    present = fresh.signal_present
    share = training_share(plan, int(present.sum()), int((~present).sum()), N_TRAINING)
    if not share.n_present:
        return None, []
    index = draw_cases(present, share, np.random.default_rng(derive_seed(plan.seed, "reading", "training")))
    some, notes = select(fresh, index), []
    if some.signal is None:
        notes.append("signals of training trials are as faint as the others: this run does not know them apart")
    else:
        more = np.where(some.signal_present, np.float32(TRAINING_CONTRAST - 1.0), np.float32(0.0))
        some = replace(some, noisy=np.asarray(some.noisy + more[:, None, None] * some.signal, dtype=np.float32))
    arm = next((one for one in arms if one.imported is None), Arm(ArmName("low-dose", seed=arms[0].seed)))
    cases = _cases(run, [arm], "fresh", some, np.arange(len(some)), "training")
    return cases, notes
