"""One named check of a conformance suite, and what all suites share."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A check of a suite. Call it: it returns if the class conforms, and else raises.

    Examples
    --------
    >>> check = Check("one_is_one", lambda: require(1 == 1, "1 is not 1"))
    >>> check()
    >>> str(check)
    'one_is_one'
    """

    name: str
    """What it checks, as an identifier."""
    law: Callable[[], None]
    """Raises an AssertionError where the class does not conform."""

    def __call__(self) -> None:
        """Run it.

        Raises
        ------
        AssertionError
            If the class does not conform.
        Exception
            Whatever the class itself raises where it should not.
        """
        self.law()

    def __str__(self) -> str:
        return self.name


def suite(laws: Sequence[Callable[[], None]], without: Collection[str]) -> list[Check]:
    """Checks named after their functions, but for some.

    Parameters
    ----------
    laws
        Functions, each of which checks what its name says.
    without
        Names of checks to leave out.

    Raises
    ------
    ValueError
        If one to leave out is not there.
    """
    names = [law.__name__ for law in laws]
    if unknown := sorted(set(without) - set(names)):
        raise ValueError(f"without names no check of this suite: {unknown[0]!r}; there are {', '.join(names)}")
    return [Check(law.__name__, law) for law in laws if law.__name__ not in without]


def run(checks: Sequence[Check]) -> None:
    """Run checks in their order.

    Raises
    ------
    AssertionError
        At the first that fails, with its name; what the class raised is its cause.
    """
    for check in checks:
        try:
            check()
        except Exception as error:
            raise AssertionError(f"{check}: {type(error).__name__}: {error}") from error


def require(condition: bool, message: str) -> None:
    """Raise an AssertionError with the message unless the condition holds; `python -O` does not switch it off."""
    if not condition:
        raise AssertionError(message)


def refused(kind: type[Exception], what: str, call: Callable[..., object], *arguments: object) -> None:
    """Require that a call raises an error of some kind.

    Parameters
    ----------
    kind
        The error wanted; `taskct.errors.UserError` is a ValueError.
    what
        What is wrong with the call, for the message.
    call, arguments
        What must not go through.
    """
    try:
        call(*arguments)
    except kind:
        return
    raise AssertionError(f"{what} must raise {kind.__name__}, but was taken")
