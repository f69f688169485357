"""The options of the command mrmc, in groups; nothing that computes is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.options import Confidence, Json, Margin


@dataclass(frozen=True)
class StudyOptions:
    """Which ratings are analysed."""

    source: Annotated[
        Path | None,
        Argument(
            metavar="RATINGS",
            help="An .imrmc file, a CSV of ratings or of marks, or a run folder (its training seeds are the readers).",
        ),
    ] = None
    observer: Annotated[str | None, Option(metavar="NAME", help="Of a run folder: whose test statistics.")] = None
    arm: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Only these: arms as scores.csv of a run names them, or modalities of a file; repeatable.",
        ),
    ] = None
    versus: Annotated[
        list[str] | None, Option(metavar="NAME", help="Compare --arm, or all others, with this one alone; repeatable.")
    ] = None
    assume: Annotated[
        str | None,
        Option(
            metavar="WHAT",
            help="Size a study without any ratings, by --detect: a structure and an AUC of Roe and Metz (HL:0.855), or "
            "Obuchowski-Rockette parameters (var_tr=…,var_error=…,cov1=…,cov2=…,cov3=…,present=…,absent=…).",
        ),
    ] = None
    clusters: Annotated[
        Path | None,
        Option(metavar="CSV", help="Table with case,cluster: which cases are of one patient, and not independent."),
    ] = None


@dataclass(frozen=True)
class AnalysisOptions:
    """What is asked of them."""

    margin: Margin = None
    program: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="This reader is a program: compare it with the people; repeatable."),
    ] = None
    cutoff: Annotated[
        list[str] | None,
        Option(
            metavar="SCORE",
            help="Sensitivity and specificity, where a case at or above it is called positive. READER=SCORE is of one "
            "reader; repeatable.",
        ),
    ] = None
    agreement: Annotated[bool, Option("--agreement", help="How far readers agree: weighted kappa, ICC.")] = False
    figure_of_merit: Annotated[
        str | None, Option(metavar="NAME", help="Of marks: the weighted AFROC area when left out.")
    ] = None
    detect: Annotated[
        float | None, Option(metavar="DELTA", help="Size a study: readers and cases to detect this difference.")
    ] = None
    power: Annotated[float, Option(metavar="P", help="Power wanted of that study.")] = 0.8
    confidence: Confidence = 0.95


@dataclass(frozen=True)
class ResultOptions:
    """Where results go."""

    export: Annotated[
        Path | None, Option(metavar="FILE", help="Write the ratings to a new .imrmc or .csv file, for other programs.")
    ] = None
    page: Annotated[
        Path | None, Option(metavar="PAGE", help="Write a page: AUCs, differences, ROC curves and methods; HTML.")
    ] = None
    as_json: Json = False
