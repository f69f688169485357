from .store import read_trials as read_trials
from .store import write_trials as write_trials
from .trials import SPLITS as SPLITS
from .trials import TRUTH as TRUTH
from .trials import Trials as Trials
from .trials import crop as crop
from .trials import select as select
