"""The command line: parse, call, print."""

import io
import sys
import warnings

from taskct.cli import study, images, observe, mrmc
from taskct.cli.app import app
from taskct.terminal import show_warning

__all__ = ["app", "images", "main", "mrmc", "observe", "study"]


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without λ shows ? and goes on
    warnings.showwarning = show_warning
    app(prog_name="taskct")
