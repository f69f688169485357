"""Checks of a run that a reader would make: each passed or not, with what was found."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from taskct.names import JOINT
from taskct.report.caveats import backgrounds
from taskct.report.labels import listed, number, observer_label
from taskct.report.run import Run

SHORT_OF_LIMIT = 0.01
"""An AUC that lies further below its limit is that of an observer short of training trials."""

OUTSIDE = 0.01
"""Share of pixels outside the data range above which PSNR and SSIM refer to another range than the images have."""

NAMED = 4
"""Arms and observers that one line names."""


class RunCheck(NamedTuple):
    """One line of the list."""

    name: str
    ok: bool
    """False also where it could not be made."""
    text: str
    """What was found."""


def checks(run: Run) -> list[RunCheck]:
    """Return every check, in the order in which a reader asks."""
    return [
        _apart(run),
        _enough_backgrounds(run),
        _data_range(run),
        _enough_trials(run),
        _edges(run),
        _trainings(run),
        _whole(run),
    ]


def _apart(run: Run) -> RunCheck:
    name, kind, shared = "Splits share no background", run.task.case_kind, run.task.n_shared_backgrounds
    if shared is None:
        return RunCheck(name, False, "an earlier taskct evaluated this run and did not count them; evaluate it anew")
    counts = listed(f"{n:,} in {split}" for split, n in run.task.n_backgrounds.items())
    if shared:
        return RunCheck(name, False, f"{shared} of the {kind} stand in more than one split ({counts})")
    return RunCheck(name, True, f"distinct {kind}: {counts}; none stands in two splits")


def _enough_backgrounds(run: Run) -> RunCheck:
    r = run.task.resampling
    unit = f"a whole {run.task.case_kind.removesuffix('s')}" if r.unit == "background" else "a trial"
    text = f"{backgrounds(run)} behind every figure; intervals resample {unit}"
    if not r.over_backgrounds:
        return RunCheck("Enough test backgrounds", False, f"{text}, and say nothing of other {run.task.case_kind}")
    few = "; with fewer than 50 they are somewhat too narrow" if r.few else ""
    return RunCheck("Enough test backgrounds", not r.few, text + few)


def _data_range(run: Run) -> RunCheck:
    evaluation = run.settings.get("evaluation")
    low = evaluation.get("data_low_hu") if isinstance(evaluation, dict) else None
    name, width = "Data range behind PSNR and SSIM", run.task.data_range_hu
    if not isinstance(low, int | float):
        return RunCheck(name, False, f"{width:g} HU, but study.yaml does not tell where the range begins")
    images = run.examples.reference
    outside = float(np.mean((images < low) | (images > low + width)))
    text = (
        f"{_hu(low)} to {_hu(low + width)} HU ({width:g} HU); RMSE is of all values, none is clipped; "
        f"{number(100 * outside, 1)} % of the pixels of the references shown lie outside"
    )
    return RunCheck(name, outside <= OUTSIDE, text)


def _hu(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _enough_trials(run: Run) -> RunCheck:
    name = "Observers have enough training trials"
    known = [(row, row.limit) for row in run.limits.rows if row.seed == run.seed or row.arm == "low-dose"]
    if not run.has_limits:
        return RunCheck(name, False, "this run has no AUC in the limit (limits.json) to hold them against")
    missing = [(limit.value - row.auc.value, row) for row, limit in known if limit is not None]
    short = sorted(((gap, row) for gap, row in missing if gap > SHORT_OF_LIMIT), key=lambda found: -found[0])
    unknown = sum(limit is None and row.observer != JOINT for row, limit in known)
    more = f"; {unknown} AUCs have no limit to compare with" if unknown else ""
    if not short:
        return RunCheck(name, not unknown, f"no AUC lies more than {SHORT_OF_LIMIT:g} below its limit{more}")
    worst = [f"{run.label(r.arm)}, {observer_label(r.observer)} ({number(gap, 3, signed=True)})" for gap, r in short]
    return RunCheck(
        name,
        False,
        f"{len(short)} of {len(missing)} AUCs lie more than {SHORT_OF_LIMIT:g} below their limit, most of all "
        f"{_some(worst)}; compare these arms in the limit{more}",
    )


def _edges(run: Run) -> RunCheck:
    name = "Regularization inside its list"
    found = [f"{run.label(row.arm)}, {observer_label(row.observer)}" for row in run.choices.at_edge]
    if not found:
        return RunCheck(name, True, "no choice fell on the first or last candidate")
    return RunCheck(
        name, False, f"the first or last candidate was chosen for {_some(found)}; a wider list may raise them"
    )


def _trainings(run: Run) -> RunCheck:
    failed, name = run.failures.failed, "All trainings ended well"
    if not failed:
        return RunCheck(name, True, "none failed and none was left out")
    left_out = len(run.failures.skipped)
    return RunCheck(name, False, f"failed: {_some(one.stage for one in failed)}; {left_out} stages were left out")


def _whole(run: Run) -> RunCheck:
    record, name = run.provenance.stages.get("results"), "Files are as the evaluation left them"
    if record is None or not record.digests:
        return RunCheck(name, False, "no digests are on record to hold them against")
    # `load_run` refuses a folder in which one has changed.
    return RunCheck(name, True, f"digests of {len(record.digests)} result files agree")


def _some(names: Iterable[str]) -> str:
    """Up to `NAMED` names, and how many more there are."""
    found = list(names)
    more = len(found) - NAMED
    return "; ".join(found[:NAMED]) + (f"; and {more} more" if more > 0 else "")
