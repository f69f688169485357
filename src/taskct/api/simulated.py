"""Trials of a study in memory."""

from pathlib import Path

from taskct.config import Settings, make_settings, preset_names, read_preset
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.progress import Progress
from taskct.simulation.simulate import simulate as simulate_splits
from taskct.trials.trials import Trials


def read_study(study: str | Path | Settings = "demo", **changes: object) -> Settings:
    """The settings of a study.

    Parameters
    ----------
    study
        Name of a preset, such as "demo" or "smoke"; a YAML file; or settings.
    **changes
        Settings that differ, as a study file has them: a section with its settings as a mapping, such as
        `scanner={"dose_fraction": 0.1}`, or `seed=1`.

    Raises
    ------
    UserError
        If there is no such study, or a setting is unknown or out of its range.

    Examples
    --------
    >>> read_study("smoke", scanner={"dose_fraction": 0.1}).scanner.dose_fraction
    0.1
    """
    for name, value in changes.items():
        section, dot, setting = name.partition(".")
        if dot:
            raise UserError(f"setting {name!r}: give its section as a mapping, {section}={{{setting!r}: {value!r}}}")
    if isinstance(study, Settings):
        return make_settings(study.model_dump(mode="json"), changes)
    if str(study) in preset_names():
        return make_settings(read_preset(str(study)), changes)
    if Path(study).suffix not in (".yaml", ".yml"):
        raise UserError(
            f"no study {str(study)!r}: give a .yaml file, or one of the presets {', '.join(preset_names())}"
        )
    return make_settings(read_yaml(Path(study)), changes)


def simulate(
    study: str | Path | Settings = "demo",
    *,
    device: str = "auto",
    progress: Progress | None = None,
    **changes: object,
) -> dict[str, Trials]:
    """Simulate the trials of a study in memory, on this process; those of a run folder with these settings.

    Parameters
    ----------
    study
        Name of a preset, such as "demo" or "smoke"; a YAML file; or settings.
    device
        Where to project and reconstruct: "auto" (CUDA if there is any), "cpu" or "cuda".
    progress
        Called as (trials done, trials in all, split).
    **changes
        Settings that differ, as for `read_study`; `seed=1` is another draw of everything.

    Returns
    -------
    Trials by split: "train", "validation", "fresh" and "test". No background stands in two of them.

    Raises
    ------
    UserError
        If there is no such study, a setting is unknown or out of its range, or the task cannot be made.
    """
    return simulate_splits(read_study(study, **changes), device=resolve_device(device), progress=progress)
