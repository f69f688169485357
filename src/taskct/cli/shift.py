"""The command shift: denoisers on tasks that they were not trained for."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from taskct.cli import options
from taskct.cli.app import app
from taskct.cli.terminal import note, print_line, show_progress
from taskct.errors import UserError


@app.command()
def shift(
    runs: Annotated[
        list[Path], Argument(metavar="RUN...", help="Finished run folders: each a training, and its task a test.")
    ],
    out_folder: Annotated[
        Path, Option("--out", metavar="SHIFT", help="The folder to write; made, or gone on with if it is there.")
    ],
    test: Annotated[
        list[str] | None,
        Option(
            "--test",
            metavar="NAME: {SETTING: VALUE}",
            help="A test task: what it changes of the first run's, as in --test 'dark: {signal.contrast_hu: [-70, "
            "-30]}', or localize_mm: where it must be found, too; repeatable. By default those of the first run's "
            "setting tests.",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        Option("--arm", metavar="NAME", help="Test only these arms, such as lambda=0.9, beside MSE; repeatable."),
    ] = None,
    trust: options.TrustOption = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    progress: options.ProgressOption = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only print what there is to do, time and disk; writes nothing.")
    ] = False,
) -> None:
    """Test the denoisers of finished runs on tasks that they were not trained for.

    As in: taskct run --preset task-shift --out runs/shift; taskct shift runs/shift --out runs/shift-tests

    Every λ is compared with the MSE denoiser of its run on the trials of every task, by observers that are fitted
    afresh there and by those of the training's own task. Writes shift.json, shift.csv and shift.html. A command that
    was stopped goes on when it is given again.
    """
    from taskct.cli.run_folder import duration_text, open_run
    from taskct.denoisers.import_path import trust_network
    from taskct.report.shift import load_shift, sentence, write_shift
    from taskct.study.run_folder import RunFolder
    from taskct.sweep.shift import Shift

    trust_network(*trust or ())
    folders: list[RunFolder] = [open_run(path, device) for path in runs]
    if test:
        folders[0].settings = folders[0].settings.model_copy(update={"tests": _tests(test)})
    found = Shift(out_folder, folders, arms=tuple(arm or ()))
    if dry_run:
        n_tasks, n_cells, seconds = found.plan()
        print_line(
            f"{n_tasks} tasks to simulate and {n_cells} cells to test: about {duration_text(seconds)} on one core"
        )
        print_line(f"Disk: {found.bytes_to_write / 1e6:.0f} MB to write, {folders[0].free_bytes() / 1e6:.0f} MB free")
        note("from a few trials, one small fit of the observers and a few steps of a network on one core here")
        return
    with show_progress(progress) as show:
        found.work(workers=workers, show=show)
    page = write_shift(out_folder)
    print_line(f"Shift: {page}")
    print_line(sentence(load_shift(out_folder)))


def _tests(given: list[str]) -> dict[str, dict[str, Any]]:
    """The test tasks of a command line, as the setting `tests` has them."""
    import yaml

    from taskct.config import make_settings
    from taskct.yaml_text import parse_yaml

    tests: dict[str, dict[str, Any]] = {}
    for text in given:
        try:
            tree = parse_yaml(text)
        except yaml.YAMLError:
            tree = None
        if not isinstance(tree, dict) or len(tree) != 1 or not isinstance(next(iter(tree.values())), dict):
            raise UserError(
                f"--test {text}: write NAME: {{SETTING: VALUE}}, as in 'small: {{signal.diameter_mm: [3, 4]}}'"
            )
        tests |= tree
    return make_settings({"tests": tests}).tests
