from .exporting import ExportOptions as ExportOptions
from .exporting import export_study as export_study
from .importing import Imported as Imported
from .importing import ImportOptions as ImportOptions
from .importing import import_study as import_study
from .key import ExportKey as ExportKey
