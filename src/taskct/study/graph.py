"""The stages of a study and what each depends on: a pure function of the settings."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from taskct.config import Settings
from taskct.config.training import NO_AXES
from taskct.simulation.simulate import simulation_key
from taskct.study.arms import BLEND, PRETRAINING, Arm, Overrides, arms_of
from taskct.study.frozen import source_name, sources_of
from taskct.study.model_results import RESULTS, models_of

Kind = Literal["simulate", "import", "tune", "pretrain", "finetune", "blend", "evaluate", "results"]

RESULT_FILES = (
    "summary.json",
    "scores.csv",
    "quality.csv",
    "choices.json",
    "tradeoff.json",
    "hallucination.json",
    "retraining.json",
    "groups.json",
    "task.json",
    "examples.npz",
    "frozen.json",
    "limits.json",
    "efficiency.json",
    "harm.json",
    "harm.npz",
    "physics.json",
    "physics.npz",
    "strata.json",
    "conventions.json",
    "path.json",
)

IMPORTED = "imported"
"""Folder of images that were denoised elsewhere, a folder each."""

PARTS: dict[str, tuple[Kind, ...]] = {
    "simulate": ("simulate",),
    "train": ("tune", "pretrain", "finetune", "blend"),
    "evaluate": ("evaluate", "results"),
}
"""The kinds of stages that each command does; images from elsewhere are brought by `taskct import` alone."""


@dataclass(frozen=True)
class Stage:
    """One step of a study, done whole or not at all."""

    name: str
    kind: Kind
    arm: Arm | None
    """What is trained or evaluated; None for the trials and the result files."""
    depends_on: tuple[str, ...]
    """Names of the stages that it builds on."""
    outputs: tuple[str, ...]
    """Files and folders that it leaves, relative to the run folder."""


def stages_of(settings: Settings) -> list[Stage]:
    """Every stage of a study, each after those that it builds on.

    Trials are simulated once, each arm is trained and evaluated in a stage of its own, and the last stage puts the
    results together. The low-dose images, and those from elsewhere, are the same for every training seed and evaluated
    once. A blend builds on the evaluations of its two networks, which leave the images behind that it mixes, so no
    network runs twice; a price of a task path builds on those of the control and of the path at the price of its
    training. Every evaluation builds on those whose observers it carries over, see `sources_of`.

    Examples
    --------
    >>> [stage.name for stage in stages_of(Settings())][:3]
    ['simulate', 'pretrain seed=0', 'finetune lambda=0 seed=0']
    """
    arms = arms_of(settings)
    stages = [Stage("simulate", "simulate", None, (), ("trials",))]
    for name in settings.imported.names:
        stages.append(Stage(f"import={name}", "import", None, ("simulate",), (f"{IMPORTED}/{name}",)))
    made = [arm for arm in arms if arm.stage is not None and not arm.from_elsewhere]
    for kind in PARTS["train"]:
        stages += [_training(arm) for arm in made if _kind(arm) == kind]
    for arm in dict.fromkeys(arm.parts[1] for arm in arms if arm.blended):
        outputs = tuple(f"models/{arm.file_stem}{BLEND}{end}" for end in (".safetensors", ".json"))
        before = ("simulate", str(arm.control_arm.stage), str(arm.stage))
        stages.append(Stage(f"blend {arm.identity}", "blend", arm, before, outputs))
    # What a path adds is told from its control's images and its own, also where it has no other price.
    mixed = {evaluation_stage(part) for arm in arms if arm.mixed or arm.price is not None for part in arm.parts}
    evaluations = []
    for arm in arms:
        if arm.seedless and arm.seed != arms[0].seed:
            continue
        depends_on: tuple[str, ...] = ("simulate",)
        if arm.mixed:
            depends_on += tuple(evaluation_stage(part) for part in arm.parts)
        else:
            depends_on += () if arm.stage is None else (arm.stage,)
            # Their observers are shown this arm's images unchanged; a blend has them from its networks.
            depends_on += tuple(evaluation_stage(source) for source in sources_of(arm, settings))
        ends: tuple[str, ...] = (".npz", ".json")
        ends += (".images.npz",) if evaluation_stage(arm) in mixed else ()
        ends += (".templates.npz",) if source_name(arm, settings) else ()
        outputs = tuple(f"evaluated/{arm.file_stem}{end}" for end in ends)
        evaluations.append(Stage(evaluation_stage(arm), "evaluate", arm, depends_on, outputs))
    # Mixed images last: their parts' evaluations come before them.
    evaluations.sort(key=lambda stage: stage.arm is not None and stage.arm.mixed)
    every = ("simulate", *(stage.name for stage in evaluations))
    beside = tuple(f"models/{stem}{RESULTS}" for stem in models_of(arms))
    return [*stages, *evaluations, Stage("results", "results", None, every, (*RESULT_FILES, *beside))]


def _kind(arm: Arm) -> Kind:
    return "pretrain" if arm.pretrained else "tune" if arm.filter is not None else "finetune"


def _training(arm: Arm) -> Stage:
    ends = (".json",) if arm.filter is not None else (".safetensors", ".json")
    models = tuple(f"models/{arm.weights_stem}{end}" for end in ends)
    return Stage(str(arm.stage), _kind(arm), arm, arm.depends_on, models)


def evaluation_stage(arm: Arm) -> str:
    """Name of the stage that evaluates an arm; without the seed where it is the same for every training seed."""
    return f"evaluate {arm.name if arm.seedless else arm.identity}"


def part_of(stages: Sequence[Stage], parts: Iterable[str]) -> list[Stage]:
    """The stages of some commands, in order; see `PARTS`."""
    kinds = {kind for part in parts for kind in PARTS[part]}
    return [stage for stage in stages if stage.kind in kinds]


def levels(stages: Sequence[Stage]) -> dict[str, int]:
    """How many stages come before each at least, by name: the longest way from one that builds on none."""
    found: dict[str, int] = {}
    for stage in stages:
        found[stage.name] = 1 + max((found[name] for name in stage.depends_on), default=-1)
    return found


def share_threads(stages: Sequence[Stage], *, workers: int, n_threads: int) -> dict[str, int]:
    """Threads of each stage when up to `workers` run at a time: a function of graph and machine alone, never of timing.

    How a sum is divided among threads shows in its last bits. Stages of one kind and one level can run side by side and
    share the threads evenly; a stage that has no such sister has all of them.

    Examples
    --------
    >>> threads = share_threads(stages_of(Settings()), workers=4, n_threads=8)
    >>> threads["pretrain seed=0"], threads["finetune lambda=0 seed=0"]
    (8, 2)
    """
    level = levels(stages)
    width = Counter((stage.kind, level[stage.name]) for stage in stages)
    return {stage.name: max(1, n_threads // min(workers, width[stage.kind, level[stage.name]])) for stage in stages}


def simulation_inputs(settings: Settings) -> str:
    """What the trials depend on, as a hash: settings, and names, sizes and times of change of the files they name.

    The device is left out: it changes the last bits of trials, not which trials they are.
    """
    return simulation_key(settings, "cpu")


class StageInputs:
    """The settings that stages of a study read, as JSON has them; each variant's are made once for all its stages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tree: dict[str, Any] = settings.model_dump(mode="json")
        self._own: dict[Overrides, dict[str, Any]] = {(): self._tree}

    def of(self, stage: Stage | None) -> dict[str, Any]:
        """What a stage reads itself, not what those before it name; all settings for None and for the result files."""
        tree = self._tree
        if stage is None or stage.kind == "results":
            return tree
        arm = None if stage.arm is None else stage.arm.as_inputs()
        pixels = {"trials": tree["trials"], "pixel_mm": tree["scanner"]["pixel_mm"]}
        if stage.kind == "simulate":
            return {name: tree[name] for name in ("seed", "background", "signal", "absent_signal", "scanner", "trials")}
        if stage.kind == "evaluate":
            sections = ("seed", "signal", "observers", "evaluation")
            return {"arm": arm, **pixels, **{name: tree[name] for name in sections}}
        if stage.kind == "import":
            return {}
        if stage.kind == "blend":
            return {"arm": arm, **pixels, "tolerance": tree["evaluation"]["tolerance"]}
        own = tree if stage.arm is None else self._variant(stage.arm)
        training = {name: value for name, value in own["training"].items() if f"training.{name}" not in NO_AXES}
        if stage.kind == "pretrain":
            # Of weights that are given nothing is trained: what they are is in the key by the digest of their file.
            names = PRETRAINING if own["denoiser"]["weights"] is None else ("dtype",)
            return {
                "arm": arm,
                **pixels,
                "denoiser": own["denoiser"],
                "training": {name: training[name] for name in names},
            }
        # The head behind an eye is an observer's; candidates of fresh observers are not the training's business.
        eye = {name: tree["observers"][name] for name in ("viewing_distance_mm", "magnification", "internal_noise_hu")}
        path = {} if stage.arm is None or stage.arm.price is None else {"path": own["path"] | {"prices": None}}
        return {"arm": arm, **pixels, "denoiser": own["denoiser"], "training": training, "eye": eye, **path}

    def _variant(self, arm: Arm) -> dict[str, Any]:
        if arm.overrides not in self._own:
            self._own[arm.overrides] = arm.settings(self._settings).model_dump(mode="json")
        return self._own[arm.overrides]


def content_keys(settings: Settings) -> dict[str, str]:
    """A digest of the settings that each stage and all before it read, by name: the same where two studies agree."""
    inputs, found = StageInputs(settings), dict[str, str]()
    for stage in stages_of(settings):
        before = [found[name] for name in stage.depends_on]
        content = json.dumps([stage.name, stage.outputs, inputs.of(stage), before], sort_keys=True)
        found[stage.name] = hashlib.sha256(content.encode()).hexdigest()
    return found


def stage_key(
    name: str, version: str, inputs: Mapping[str, Any], files: str, before: Sequence[tuple[str, str, str]]
) -> str:
    """Hash of all that a stage depends on: its settings, from `StageInputs`, and the stages before it.

    `files` is from `simulation_inputs`, empty where the stage reads none. `before` has name, key and moment of each
    stage that it builds on: one that was done anew may differ in its last bits.
    """
    content = json.dumps([name, version, inputs, files, [list(one) for one in before]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
