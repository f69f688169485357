from .curves import CurvePlan as CurvePlan
from .curves import DoseCurves as DoseCurves
from .curves import analyze_doses as analyze_doses
from .from_table import Reader as Reader
from .from_table import curves_of_table as curves_of_table
from .tables import read_dose_table as read_dose_table
