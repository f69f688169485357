"""Several observers on the same trials, each of which may fail alone."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from taskct.errors import UserError

T = TypeVar("T")


def each_alone(names: Iterable[str], do: Callable[[str], T]) -> tuple[dict[str, T], dict[str, str]]:
    """What each of several observers gives; one that these trials do not suit takes nothing from the others.

    Parameters
    ----------
    names
        Observers, each once.
    do
        What is done with one, by its name. It raises a `UserError` where the observer does not suit the trials; any
        other error is a fault of the program and goes on up.

    Returns
    -------
    What was given, and why the others failed, both by name in the order given.

    Raises
    ------
    UserError
        If all failed, with every reason.

    Examples
    --------
    >>> def observe(name: str) -> int:
    ...     if name == "ho_svd":
    ...         raise UserError("rank is 20, but the covariance has rank 1")
    ...     return len(name)
    >>> each_alone(["ho", "ho_svd"], observe)
    ({'ho': 2}, {'ho_svd': 'rank is 20, but the covariance has rank 1'})
    """
    given: dict[str, T] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            given[name] = do(name)
        except UserError as error:
            failed[name] = str(error)
    if failed and not given:
        reasons = dict.fromkeys(failed.values())
        if len(reasons) == 1:
            raise UserError(f"{', '.join(failed)}: {next(iter(reasons))}")
        raise UserError("no observer suits these trials: " + "; ".join(f"{n}: {why}" for n, why in failed.items()))
    return given, failed
