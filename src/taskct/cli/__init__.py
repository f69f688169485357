"""The command line: parse, call, print."""

import io
import sys
import warnings

from taskct.cli.app import app
from taskct.cli.stopping import open_standard_streams, stoppable

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without λ shows ? and goes on
    warnings.showwarning = _show_warning
    with stoppable():
        app(prog_name="taskct")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from taskct.cli.terminal import note  # here, since most commands warn of nothing

    note(str(message))
