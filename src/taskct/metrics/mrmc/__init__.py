"""Multi-reader multi-case (MRMC) analysis of the area under the ROC curve."""

from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.areas import MRMCAnalysis
from taskct.metrics.mrmc.free_response import MarksAnalysis, analyze_marks
from taskct.metrics.mrmc.located import lroc_study
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette, obuchowski_rockette_of
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
    "Components",
    "Design",
    "MRMCAnalysis",
    "MarksAnalysis",
    "Ratings",
    "RoeMetz",
    "StudyPower",
    "analyze",
    "analyze_marks",
    "components_from_obuchowski_rockette",
    "lroc_study",
    "obuchowski_rockette",
    "obuchowski_rockette_of",
    "power_grid",
    "size_study",
    "study_power",
]
