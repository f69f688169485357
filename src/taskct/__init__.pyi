from . import denoisers as denoisers
from . import io as io
from . import metrics as metrics
from . import observers as observers
from . import report as report
from . import scanner as scanner
from . import simulation as simulation
from . import tasks as tasks
from . import training as training
from . import trials as trials
from .api.roc import plot_roc as plot_roc
from .api.runs import open_run as open_run
from .api.simulated import read_study as read_study
from .api.simulated import simulate as simulate
from .apply.denoise import denoise as denoise
from .apply.denoise import load_denoiser as load_denoiser
from .errors import UserError as UserError
from .io.dicom import read_series as read_series
from .io.dicom_write import write_series as write_series
from .metrics.roc import auc as auc
from .observers.fresh import make_observer as make_observer
from .training.method import append_head as append_head
from .training.method import finetune as finetune
from .training.method import pretrain as pretrain
from .training.plan import Plan as Plan
from .trials.trials import Trials as Trials

__version__: str
