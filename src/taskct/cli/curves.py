"""The command curves: detectability against dose, and the dose it buys; what computes is imported when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Confidence, Json, ProgressOption
from taskct.cli.terminal import note, print_json, print_line, show_progress
from taskct.errors import UserError

if TYPE_CHECKING:
    from taskct.apply.curves import CurvePlan, DoseCurves


@app.command()
def curves(
    sources: Annotated[
        list[Path],
        Argument(
            metavar="TABLE|RUN...",
            help="A table of scans or of test statistics, CSV or YAML; or run folders that differ in dose or signal.",
        ),
    ],
    out_folder: Annotated[
        Path,
        Option(
            "--out",
            metavar="FOLDER",
            help="Write curves.html, curves.json, curves.csv, dose.csv, curves.svg and curves.png; "
            "with --phantom physics.csv, .svg and .png too.",
        ),
    ],
    reference: Annotated[
        str | None,
        Option(metavar="NAME", help="The reconstruction that others are held against; the first if left out."),
    ] = None,
    versus: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="Hold only these against it, all others if left out; repeatable."),
    ] = None,
    margin: Annotated[
        float | None,
        Option(metavar="M", help="Test non-inferiority at each dose and rod with this margin of AUC, such as 0.05."),
    ] = None,
    phantom: Annotated[
        str | None,
        Option(
            metavar="LAYOUT",
            help="Scans are whole: cut regions about the rods of this phantom, by name or a YAML file.",
        ),
    ] = None,
    window_mm: Annotated[
        float | None, Option(metavar="MM", help="With --phantom: side of a region; three diameters if left out.")
    ] = None,
    pixel_mm: Annotated[
        float | None, Option(metavar="MM", min=0.01, max=10.0, help="Pixel size, where the files do not tell.")
    ] = None,
    roll_deg: Annotated[
        float | None, Option(metavar="DEG", help="With --phantom: its roll, clockwise, where it is known.")
    ] = None,
    observer: Annotated[
        str | None,
        Option(metavar="NAME", help="Who reads the scans (cho-lg if left out), or whose test statistics of runs."),
    ] = None,
    channels: Annotated[
        int | None, Option(metavar="N", min=1, help="Of a channelized observer: number of channels.")
    ] = None,
    folds: Annotated[
        int | None,
        Option(metavar="K", min=3, help="Folds of scans in the cross-validation; by their number if left out."),
    ] = None,
    arm: Annotated[
        list[str] | None, Option(metavar="NAME", help="Of runs: arms, as scores.csv names them; repeatable.")
    ] = None,
    in_limit: Annotated[
        bool, Option("--in-limit", help="Of runs: AUCs in the limit of many training trials of the observer.")
    ] = False,
    dose_unit: Annotated[str, Option(metavar="TEXT", help="Unit of the doses of a table, for the page.")] = "",
    confidence: Confidence = 0.95,
    seed: Annotated[int, Option(metavar="N", min=0, help="Of every random choice.")] = 0,
    as_json: Json = False,
    progress: ProgressOption = None,
) -> None:
    """Draw detectability against dose, and tell the dose at which one reconstruction reaches the AUC of another.

    As in: taskct curves scans.csv --phantom cct189 --reference fbp --margin 0.05 --out curves

    A table has the columns reconstruction,dose,present,absent (files or folders of images), or
    reconstruction,dose,signal_present,score of any observer, and may have rod,diameter_mm,contrast_hu. Doses at equal
    AUC have intervals over scans, and are never extrapolated.
    """
    from taskct.apply.curves import CurvePlan, Reader, curves_of_table
    from taskct.cli.curves_results import print_curves, write_curves

    if out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError(f"{out_folder} exists: choose another --out, nothing is overwritten")
    plan = CurvePlan(reference, tuple(versus or ()), margin, confidence, seed)
    reader = Reader(observer, channels, folds, phantom, window_mm, pixel_mm, roll_deg)
    if sources[0].is_dir():
        if given := [name for name, value in vars(reader).items() if value is not None and name != "observer"]:
            options = ", ".join(f"--{name.removeprefix('n_').replace('_', '-')}" for name in given)
            raise UserError(f"the trials of run folders have been read by their observers: leave out {options}")
        found, dose_unit = _of_runs(sources, observer, arm or [], plan, in_limit=in_limit)
    elif len(sources) > 1:
        raise UserError(f"{len(sources)} tables: give one table, or run folders alone")
    elif arm or in_limit:
        option = "--arm" if arm else "--in-limit"
        raise UserError(f"{option} is for run folders: a table has the reconstructions and AUCs that it has")
    else:
        with show_progress(progress) as show:
            found = curves_of_table(sources[0], reader=reader, plan=plan, progress=show.open("curves"))
    write_curves(out_folder, found, dose_unit=dose_unit)
    if as_json:
        print_json(found.as_dict())
    else:
        print_curves(found, dose_unit=dose_unit)
        print_line(f"Written: {out_folder}")
    for line in found.notes:
        note(line)


def _of_runs(
    folders: list[Path], observer: str | None, arms: list[str], plan: "CurvePlan", *, in_limit: bool
) -> tuple["DoseCurves", str]:
    """Curves of finished runs, and the unit of their doses."""
    from taskct.apply.curves import analyze_doses
    from taskct.apply.curves.tables import RodSize
    from taskct.metrics.dose_areas import auc_by_dose
    from taskct.report.doses import DOSE_UNIT, limits_of_runs, readings_of_runs

    if in_limit:
        areas, sizes, who, notes = limits_of_runs(folders, observer=observer, arms=arms)
    else:
        readings, sizes, who, notes = readings_of_runs(folders, observer=observer, arms=arms)
        areas = auc_by_dose(readings)
    rods = {name: RodSize(*size) for name, size in sizes.items()}
    about = {"source": "limits" if in_limit else "runs", "observer": who, "runs": len(folders)}
    return analyze_doses(areas, plan, sizes=rods, notes=notes, about=about), DOSE_UNIT
