"""The command mrmc: reader studies."""

from typing import TYPE_CHECKING

from taskct.cli.app import app
from taskct.cli.mrmc_options import AnalysisOptions, ResultOptions, StudyOptions
from taskct.cli.option_groups import with_groups
from taskct.cli.page_target import check_page
from taskct.cli.terminal import note, print_json, print_line
from taskct.errors import UserError

if TYPE_CHECKING:
    from taskct.apply.ratings import ReaderStudy
    from taskct.apply.reader_study.wanted import Wanted


@app.command()
@with_groups
def mrmc(which: StudyOptions, asked: AnalysisOptions, output: ResultOptions) -> None:
    """Analyse a reader study: AUCs averaged over readers, with readers and cases as random effects.

    As in: taskct mrmc SCORES.imrmc --json

    Or: taskct mrmc --assume HL:0.855 --detect 0.05

    Or: taskct mrmc RUN --observer ho --arm lambda=0.9 --versus lambda=0

    The variance is the U-statistic of FDA's iMRMC (Gallas), beside its biased twin. Intervals and p values heed how
    little few readers tell of their scatter; iMRMC's stand beside them in --json. Fully crossed studies get the
    Obuchowski-Rockette analysis too. Split-plot studies and missing ratings are allowed.
    """
    from taskct.apply.ratings import Choice, read_study
    from taskct.io.marks_files import is_marks

    check_page(output.page)
    wanted = wanted_of(asked)
    if which.assume is not None:
        _show_assumed(which, wanted, output)
        return
    if which.source is None:
        raise UserError("there are no ratings: give a file or a run folder, or size a study by --assume and --detect")
    choice = Choice(tuple(which.arm or ()), tuple(which.versus or ()))
    if is_marks(which.source):
        from taskct.apply.reader_study.marks import read_mark_study
        from taskct.cli.mrmc_marks import show_marks

        if which.observer is not None or which.clusters is not None:
            raise UserError("--observer and --clusters are for ratings; marks take neither: leave them out")
        marks, pairs = read_mark_study(which.source, choice)
        show_marks(marks, wanted, output, pairs)
        return
    study = read_study(which.source, observer=which.observer, choice=choice, clusters_file=which.clusters)
    show_study(study, wanted, output)


def _show_assumed(which: StudyOptions, wanted: "Wanted", output: ResultOptions) -> None:
    """Size a study from what is assumed of it."""
    from taskct.apply.reader_study.sizes import assumed_section
    from taskct.cli.mrmc_sections import show_sections

    if which.source is not None:
        raise UserError("--assume stands in the place of ratings: give one of them")
    if output.export is not None:
        raise UserError("--assume has no ratings to --export: leave it out")
    wanted.check_for("a study that is assumed", ("detect",))
    show_sections("The size of a reader study", [assumed_section(which.assume or "", wanted)], output)


def wanted_of(asked: AnalysisOptions) -> "Wanted":
    """What the options ask for; a `UserError` if a number is out of its range."""
    from taskct.apply.reader_study.wanted import Wanted

    return Wanted(
        confidence=asked.confidence,
        margin=asked.margin,
        detect=asked.detect,
        power=asked.power,
        programs=tuple(asked.program or ()),
        cutoffs=tuple(asked.cutoff or ()),
        agreement=asked.agreement,
        figure_of_merit=asked.figure_of_merit,
    )


def show_study(study: "ReaderStudy", wanted: "Wanted", output: ResultOptions) -> None:
    """Analyse ratings and print, write and export what was found."""
    from taskct.apply.ratings import export_ratings
    from taskct.apply.reader_study import sections_of, without_programs
    from taskct.cli.mrmc_page import write_mrmc_page
    from taskct.cli.mrmc_results import analyse, print_mrmc, study_json
    from taskct.cli.mrmc_sections import print_sections

    wanted.check_for("ratings", ("programs", "cutoffs", "agreement", "margin", "detect"))
    if output.export is not None:
        export_ratings(output.export, study.ratings, study.clusters)
    found = analyse(without_programs(study, wanted.programs), wanted)
    sections = sections_of(study, wanted)
    if output.page is not None:
        write_mrmc_page(output.page, found, sections)
    if output.as_json:
        print_json(study_json(found, sections))
        return
    print_mrmc(found)
    print_sections(sections)
    if output.page is not None:
        print_line(f"Page: {output.page}")
    for line in found.notes:
        note(line)
