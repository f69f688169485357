"""Tables of what a run rests on: choices, trials, stages, versions and settings."""

from datetime import UTC, datetime
from typing import Any

from taskct.report.labels import number, observer_label
from taskct.report.run import Run
from taskct.report.tables.cells import NONE, Table, plain_text


def regularization_table(run: Run) -> Table:
    """Tabulate how strongly each observer was regularized."""
    by_arm = run.choices.regularization
    observers = list(dict.fromkeys(observer for values in by_arm.values() for observer in values))
    rows = [[run.label(arm), *(plain_text(values.get(o)) for o in observers)] for arm, values in by_arm.items()]
    caption = "Regularization of each observer, chosen on validation trials."
    return Table(caption, ["Arm", *map(observer_label, observers)], rows)


def validation_table(run: Run) -> Table:
    """Tabulate the validation numbers that the choices rest on."""
    observers = list(dict.fromkeys(observer for row in run.choices.validation for observer in row.auc))
    rows = []
    for row in run.choices.validation:
        aucs = [row.auc.get(observer) for observer in observers]
        cells = [NONE if auc is None else number(auc, 3) for auc in aucs]
        rows.append([run.label(row.arm), number(row.rmse_hu, 2), *cells])
    columns = ["Arm", "RMSE (HU)", *(f"AUC, {observer_label(o)}" for o in observers)]
    return Table("Validation trials: what choices were made on.", columns, rows)


def trial_table(run: Run) -> Table:
    """Tabulate trials and distinct phantoms, slices or patients of each split."""
    task = run.task
    rows = [[split, str(n), str(task.n_backgrounds.get(split, NONE))] for split, n in task.n_trials.items()]
    return Table("Trials of each split.", ["Split", "Trials", f"Distinct {task.case_kind}"], rows)


def stage_table(run: Run) -> Table:
    """Tabulate the wall time of each stage."""
    rows = [
        [name, duration_text(stage.wall_s), _moment(stage.finished)] for name, stage in run.provenance.stages.items()
    ]
    return Table("Wall time of each stage.", ["Stage", "Wall time", "Finished"], rows)


def duration_text(seconds: float | None) -> str:
    """Write a time as people say it; a dash for None."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _moment(finished: str | float | None) -> str:
    if isinstance(finished, float):
        return datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return finished or NONE


def provenance_table(run: Run) -> Table:
    """Tabulate versions, machine and seed."""
    made = run.provenance
    rows = [
        ["taskct", made.taskct_version],
        ["commit", plain_text(made.commit)],
        ["Python", made.python],
        ["platform", made.platform],
        ["device", plain_text(made.device)],
        ["threads", plain_text(made.n_threads)],
        ["seed", plain_text(made.seed)],
        *([name, version] for name, version in made.libraries.items()),
    ]
    return Table("Made with.", ["What", "Value"], rows)


def settings_table(run: Run) -> Table:
    """Tabulate every setting of `study.yaml` by its dotted name."""
    return Table("Settings, defaults included (study.yaml).", ["Setting", "Value"], flat_settings(run.settings))


def flat_settings(settings: dict[str, Any], prefix: str = "") -> list[list[str]]:
    """List settings by their dotted names, with their values as text; folders of images are not named."""
    rows: list[list[str]] = []
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            rows += flat_settings(value, f"{prefix}{key}.")
        elif key == "path" and value is not None:
            # A folder of images is often named after its patient, and a report travels.
            rows.append([f"{prefix}{key}", "(a folder, not shown)"])
        else:
            rows.append([f"{prefix}{key}", plain_text(value)])
    return rows
