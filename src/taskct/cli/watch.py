"""The command watch: follow a sweep that another command does."""

import time
from typing import Annotated

from typer import Option

from taskct.cli import options
from taskct.cli.app import app
from taskct.cli.terminal import print_line


@app.command()
def watch(
    run_folder: options.Run,
    every_s: Annotated[
        int, Option("--every", metavar="S", min=2, max=3600, help="Seconds between two looks at the folder.")
    ] = 15,
    once: Annotated[bool, Option("--once", help="Look once and write the page.")] = False,
    workers: options.Workers = None,
    device: options.Device = "auto",
) -> None:
    """Follow a running sweep: stages, losses so far and the time left, in RUN/watch.html and here.

    The page loads itself again in the browser; no server is needed. The command ends when the sweep does. Give it the
    --workers and --device of the sweep, so that the time left is counted for as many.
    """
    from taskct.cli.run_folder import Machine, open_run
    from taskct.report.watch import state_line, write_watch
    from taskct.sweep.watching import Watch

    folder = open_run(run_folder, device)
    sweep = Watch(folder, Machine(workers, device=device))
    while True:
        found = sweep.look()
        page = write_watch(folder.path, folder.settings.name, found, every_s=every_s)
        print_line(f"{state_line(found)}. Page: {page}")
        if once or found.over:
            return
        time.sleep(every_s)
