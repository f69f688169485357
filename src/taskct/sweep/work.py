"""What each stage of a run does, as a function on its run folder."""

from taskct.errors import UserError
from taskct.progress import Progress
from taskct.simulation.simulate import simulate_store, trials_bytes
from taskct.study.evaluate import evaluate_arm
from taskct.study.graph import Stage
from taskct.study.models import save_blend
from taskct.study.result_files import write_results
from taskct.study.run_folder import RunFolder, size_of
from taskct.study.train import train_arm


def work_of(run: RunFolder, stage: Stage, *, workers: int = 1, progress: Progress | None = None) -> None:
    """Do a stage of the graph; whoever calls it sees that it is to be done and keeps its record.

    The stages that it builds on are done; `workers` are processes that simulate. `TrainingFailed` if a training came to
    nothing, as when a loss is not finite; a `UserError` if something it needs is missing or cannot be used.
    """
    if stage.kind == "simulate":
        check_space(run)
        simulate_store(run.trials, run.settings, device=run.device, workers=workers, progress=progress)
    elif stage.kind == "results":
        write_results(run, progress=progress)
    elif stage.arm is None:
        raise ValueError(f"the stage {stage.name!r} has no arm")
    elif stage.kind == "blend":
        save_blend(run, stage.arm)
    elif stage.kind == "evaluate":
        keep_images = any(name.endswith(".images.npz") for name in stage.outputs)
        evaluate_arm(run, stage.arm, keep_images=keep_images, progress=progress)
    else:
        train_arm(run, stage.arm, progress=progress)


def check_space(run: RunFolder) -> None:
    """Raise a `UserError` if the disk has no room for the trials."""
    needed = trials_bytes(run.settings)
    there = size_of(run.trials.with_name("trials.partial")) or 0
    if run.free_bytes() + there < 1.2 * needed:
        raise UserError(
            f"the trials need {needed / 1e6:.0f} MB but {run.path} has {run.free_bytes() / 1e6:.0f} MB free: "
            "make room, or lower the numbers in trials"
        )
