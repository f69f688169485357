"""Conformance suites: what taskct relies on in an observer, a denoiser, a loss or a background, for one of your own.

`check_observer`, `check_denoiser`, `check_loss` and `check_background` run a whole suite. `observer_checks` and the
others give its checks one by one, by name, as `pytest.mark.parametrize` takes them. pytest itself is not needed.

Examples
--------
>>> from taskct.observers import make_observer
>>> from taskct.testing import check_observer
>>> check_observer(lambda: make_observer("npw"))

In a test file of your own::

    @pytest.mark.parametrize("check", observer_checks(MyObserver), ids=str)
    def test_my_observer(check):
        check()
"""

from taskct.testing.backgrounds import background_checks, check_background
from taskct.testing.check import Check
from taskct.testing.denoisers import check_denoiser, denoiser_checks
from taskct.testing.gaussian import GaussianTask, correlated_task
from taskct.testing.losses import check_loss, loss_checks
from taskct.testing.observers import check_observer, observer_checks

__all__ = [
    "Check",
    "GaussianTask",
    "background_checks",
    "check_background",
    "check_denoiser",
    "check_loss",
    "check_observer",
    "correlated_task",
    "denoiser_checks",
    "loss_checks",
    "observer_checks",
]
