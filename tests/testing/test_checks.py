"""The machinery of the suites: names, what is left out, and what a failure says."""

import pytest

from taskct.testing import Check
from taskct.testing.check import refused, require, run, suite


def fine() -> None:
    pass


def broken() -> None:
    require(False, "2 is not 3")


def stumbling() -> None:
    raise TypeError("no such argument")


def test_checks_bear_the_names_of_their_laws():
    assert [str(check) for check in suite([fine, broken], ())] == ["fine", "broken"]
    assert [str(check) for check in suite([fine, broken], ["broken"])] == ["fine"]
    with pytest.raises(ValueError, match="without names no check of this suite: 'brokn'; there are fine, broken"):
        suite([fine, broken], ["brokn"])


@pytest.mark.parametrize(
    ("law", "message"),
    [(broken, "broken: AssertionError: 2 is not 3"), (stumbling, "stumbling: TypeError: no such argument")],
)
def test_a_failure_names_its_check(law, message):
    run([Check("fine", fine)])
    with pytest.raises(AssertionError, match=message) as caught:
        run([Check("fine", fine), Check(law.__name__, law)])
    assert caught.value.__cause__ is not None


def test_what_must_be_refused():
    refused(ValueError, "nonsense", int, "nonsense")
    with pytest.raises(AssertionError, match="3 must raise ValueError, but was taken"):
        refused(ValueError, "3", int, "3")
    with pytest.raises(TypeError):  # another error than the one wanted is not taken for it
        refused(ValueError, "nothing", int, None, "x", "y")
