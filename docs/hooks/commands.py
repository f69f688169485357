"""Write the page of the command line from the commands themselves, so that it cannot go stale."""

import importlib
import inspect
import re
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from taskct.cli.app import COMMANDS, app

HEAD = """# Commands

Every command with its arguments and options, as `taskct COMMAND --help` prints them.
Where a command computes something, `--device` says where. What cannot be done is one line on standard error, and the
exit status is 2.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/commands.md", content=page()))
    return files


def page() -> str:
    """A section for each command, in the order of `taskct --help`."""
    for module in {module for module, _ in COMMANDS.values()}:
        importlib.import_module(f"taskct.cli.{module}")
    group: Any = typer.main.get_group(app)
    root = group.make_context("taskct", [], resilient_parsing=True)
    return "\n".join([HEAD, *(section(group.commands[name], root) for name in COMMANDS)])


def section(command: Any, root: Any) -> str:  # noqa: ANN401 - click's own classes, or typer's copy of them
    """Usage, text, arguments and options of a command."""
    context = type(root)(command, info_name=command.name, parent=root)
    text = inspect.cleandoc(command.help or "")
    text = re.sub(r"^(As in|Or): (taskct .*?)$", r"\1:\n\n    \2", text, flags=re.MULTILINE)
    usage = f"    taskct {command.name} {' '.join(command.collect_usage_pieces(context))}"
    arguments, options = [], []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            name, meaning = record
            meaning = meaning.replace("|", r"\|").replace("\n", " ")
            row = f"| `{name}` | {meaning} |"
            (arguments if parameter.param_type_name == "argument" else options).append(row)
    parts = [f"## taskct {command.name}", usage, text]
    for title, rows in (("argument", arguments), ("option", options)):
        if rows:
            parts.append("\n".join([f"| {title} | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"
