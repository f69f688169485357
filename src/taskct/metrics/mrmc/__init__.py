"""Multi-reader multi-case (MRMC) analysis of the area under the ROC curve."""

from taskct.metrics.mrmc.agreement import (
    AgreementCoefficient,
    agreement_coefficient,
    intraclass_correlation,
    mean_coefficient,
)
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.areas import MRMCAnalysis
from taskct.metrics.mrmc.cutoffs import OperatingPoints, operating_points
from taskct.metrics.mrmc.free_response import MarksAnalysis, analyze_marks
from taskct.metrics.mrmc.located import lroc_study
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette, obuchowski_rockette_of
from taskct.metrics.mrmc.program import ProgramComparison, compare_program
from taskct.metrics.mrmc.program_sizing import ProgramPilot, program_power, size_program_study
from taskct.metrics.mrmc.proportions import Proportions, proportion_analysis
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.roe_metz import RoeMetz
from taskct.metrics.mrmc.sizing import (
    Components,
    Design,
    StudyPower,
    components_from_obuchowski_rockette,
    power_grid,
    size_study,
    study_power,
)

__all__ = [
    "AgreementCoefficient",
    "Components",
    "Design",
    "MRMCAnalysis",
    "MarksAnalysis",
    "OperatingPoints",
    "ProgramComparison",
    "ProgramPilot",
    "Proportions",
    "Ratings",
    "RoeMetz",
    "StudyPower",
    "agreement_coefficient",
    "analyze",
    "analyze_marks",
    "compare_program",
    "components_from_obuchowski_rockette",
    "intraclass_correlation",
    "lroc_study",
    "mean_coefficient",
    "obuchowski_rockette",
    "obuchowski_rockette_of",
    "operating_points",
    "power_grid",
    "program_power",
    "proportion_analysis",
    "size_program_study",
    "size_study",
    "study_power",
]
