"""taskct: task-informed training and task-based evaluation of low-dose CT denoisers.

>>> import taskct
>>> trials = taskct.simulate("smoke", trials={"n_train": 64, "n_validation": 32, "n_fresh": 64, "n_test": 64})
>>> trials["test"]
Trials(64 of 40×40 pixels of 1 mm, margin 4, 50% with the signal, 64 backgrounds)
"""

import lazy_loader

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
