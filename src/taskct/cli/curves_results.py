"""What the command curves prints and writes."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from taskct.apply.curves import DoseCurves
from taskct.apply.curves.curves import dose_text
from taskct.cli.curves_figure import curves_figure
from taskct.cli.curves_page import curves_page, lead_sentences
from taskct.cli.curves_physics import physics_figure, print_curves_physics
from taskct.cli.physics_section import ROD_FIGURES
from taskct.cli.terminal import interval_text, plain_table, print_line, print_table
from taskct.files import whole_folder, write_json, write_text
from taskct.metrics.intervals import Interval
from taskct.report.figures import encode, style
from taskct.report.sections import write_sections

_DPI = 200


def write_curves(folder: Path, found: DoseCurves, *, dose_unit: str = "") -> None:
    """Write the page, the picture, and the numbers as JSON and CSV into a new folder, all or nothing."""
    figures = {"curves": curves_figure(found, dose_unit=dose_unit)}
    if found.physics:
        figures["physics"] = physics_figure(found, dose_unit=dose_unit)
    pictures = {name: encode(figure, "svg") for name, figure in figures.items()}
    page = curves_page(found, pictures["curves"], dose_unit=dose_unit, physics=pictures.get("physics"))
    with whole_folder(folder) as partial:
        write_sections(partial / "curves.html", page)
        write_json(partial / "curves.json", found.as_dict() | {"dose_unit": dose_unit})
        write_text(partial / "curves.csv", found.points_csv())
        write_text(partial / "dose.csv", found.equal_csv())
        if found.physics:
            write_text(partial / "physics.csv", found.physics_csv(list(ROD_FIGURES)))
        for name, figure in figures.items():
            _write_figure(partial / name, figure)


def _write_figure(stem: Path, figure: Figure) -> None:
    """As `.svg` and `.png`."""
    with style():
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=_DPI)
    write_text(stem.with_suffix(".svg"), svg.getvalue())
    stem.with_suffix(".png").write_bytes(png.getvalue())


def print_curves(found: DoseCurves, *, dose_unit: str = "") -> None:
    """Print the answers and the tables; every table fits into 80 columns."""
    for line in lead_sentences(found, dose_unit):
        print_line(line)
    percent = f"{100 * found.about['confidence']:g}%"
    table = plain_table("reconstruction", "rod", numbers=["dose", f"AUC ({percent})", "d′"])
    for point in found.points:
        d_prime = f"{point.d_prime.value:.2f}"
        table.add_row(*point.cell[::2], f"{point.cell.dose:g}", interval_text(point.auc), d_prime)
    print_table(table, "AUC at each dose")
    if found.equal:
        table = plain_table("reconstruction", "rod", numbers=["at dose", "equal at", "ratio"])
        for one in found.equal:
            doses = [dose_text(dose, one) for dose in (one.dose, one.ci_low, one.ci_high)]
            ratios = [dose_text(dose, one, ratio=True) for dose in (one.dose, one.ci_low, one.ci_high)]
            shown = [f"{first} [{low}, {high}]" for first, low, high in (doses, ratios)]
            table.add_row(one.rival, one.rod, f"{one.reference_dose:g}", *shown)
        print_table(table, f"Dose at which the AUC is that of {found.reference} ({percent})")
    if found.physics:
        print_curves_physics(found.physics)
    if found.tests:
        table = plain_table("reconstruction", "rod", numbers=["dose", "difference", "p (Holm)", "not inferior"])
        for test in found.tests:
            if test.test is None:
                cells = [f"{test.delta:+.3f}", "–", "no test"]
            else:
                bounds = Interval(test.delta, test.test.ci_low, test.test.ci_high)
                cells = [interval_text(bounds, sign=True), f"{test.p_holm:.2g}", "shown" if test.shown else "not shown"]
            table.add_row(test.rival, test.rod, f"{test.dose:g}", *cells)
        print_table(table, f"Non-inferior to {found.reference} by a margin of {found.about['margin']:g}")
