"""What the command mrmc does with marks."""

from pathlib import Path

from taskct.apply.reader_study.marks import Pairs, marks_sections
from taskct.apply.reader_study.wanted import Wanted
from taskct.cli.mrmc_options import ResultOptions
from taskct.cli.mrmc_sections import show_sections
from taskct.errors import UserError
from taskct.io.marks_files import write_marks
from taskct.metrics.marks import MarkStudy


def show_marks(study: MarkStudy, wanted: Wanted, output: ResultOptions, pairs: Pairs | None = None) -> None:
    """Analyse marks and print, write and export what was found."""
    wanted.check_for("marks", ("figure_of_merit", "margin", "detect"))
    if output.export is not None:
        _export(output.export, study)
    show_sections("Marks of a reader study", marks_sections(study, wanted, pairs), output, readers=study.readers)


def _export(target: Path, study: MarkStudy) -> None:
    if target.suffix.lower() != ".csv":
        raise UserError(f"{target}: marks are written to a file that ends in .csv")
    if target.exists():
        raise UserError(f"{target} exists: choose another file, nothing is overwritten")
    write_marks(target, study)
