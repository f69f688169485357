"""The settings that a command line asks for, and the command that prints them: config."""

import sys
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Preset, SetOption
from taskct.cli.terminal import PlainTable, note, plain_table, print_line, print_table
from taskct.config import (
    Settings,
    dotted_settings,
    make_settings,
    mentions,
    parse_overrides,
    range_of,
    read_preset,
    settings_named,
    to_yaml,
    unit_of,
    without_effect,
)
from taskct.config.read import named_networks
from taskct.config.yaml_files import read_yaml
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError


def given_settings(
    config: Path | None, preset: str | None, overrides: list[str] | None, seed: int | None, *, held: bool = False
) -> Settings:
    """The settings that a command line asks for: a file's or a preset's, else the demo's, with what --set changes.

    The networks that they name are the user's word, see `trust_network`; not those of a file that is `held` by a run
    folder and not named on the command line.
    """
    if config is not None and preset is not None:
        raise UserError("give either a settings file or --preset, not both")
    base = read_yaml(config) if config is not None else read_preset(preset) if preset is not None else {}
    if config is not None and not base:
        note(f"{config} holds no settings: all are those of the demo, unless --set changes them")
    changes = parse_overrides(overrides or [])
    settings = make_settings(base, changes, {} if seed is None else {"seed": seed})
    for tree in (changes,) if held else (base, changes):
        trust_network(*named_networks(tree))
    return settings


@app.command()
def config(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="[CONFIG] [NAME]...",
            help="A YAML file of settings, whose values are shown; settings or groups to show alone.",
        ),
    ] = None,
    preset: Preset = None,
    overrides: SetOption = None,
    word: Annotated[
        str | None, Option("--filter", metavar="WORD", help="Show the settings that mention a word.")
    ] = None,
    as_yaml: Annotated[bool, Option("--yaml", help="Print a settings file instead of the table.")] = False,
) -> None:
    """Print settings with their value, unit, range and meaning.

    As in: taskct config scanner.dose_fraction; taskct config training; taskct config --filter dose

    All of them without a NAME. With a settings file, a preset or --set: the values they give. With --yaml: a file to
    start a study from.
    """
    files = [name for name in names or [] if _is_file(name)]
    wanted = [name for name in names or [] if not _is_file(name)]
    if len(files) > 1:
        raise UserError(f"{len(files)} settings files: give one")
    settings = given_settings(Path(files[0]) if files else None, preset, overrides, None)
    if as_yaml:
        if wanted or word is not None:
            raise UserError("--yaml prints a whole settings file: leave NAME and --filter out")
        sys.stdout.write(to_yaml(settings))
        return
    fields = dict(dotted_settings())
    shown = list(dict.fromkeys(key for name in wanted for key in settings_named(name))) if wanted else list(fields)
    if word is not None:
        shown = [name for name in shown if mentions(name, fields[name], word)]
        if not shown:
            raise UserError(f"--filter {word}: no setting mentions it{' there' if wanted else ''}")
    idle = {line.partition(" ")[0]: line for line in without_effect(settings)}
    if len(shown) == 1:
        _print_setting(shown[0], settings, idle.get(shown[0]))
        return
    table = plain_table("setting", "value", "meaning; allowed values")
    table.columns[1].overflow = table.columns[2].overflow = "fold"
    for name in shown:
        meaning = "; ".join(part for part in (fields[name].description, range_of(fields[name])) if part)
        table.add_row(name, _value_text(name, settings), meaning)
    print_table(table)


def _is_file(name: str) -> bool:
    """Whether an argument of `config` is a settings file and no setting's name."""
    return name.endswith((".yaml", ".yml")) or "/" in name or Path(name).is_file()


def _value_text(name: str, settings: Settings) -> str:
    value: Any = settings.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return "null" if value is None else f"{value} {unit_of(dict(dotted_settings())[name])}".rstrip()


def _print_setting(name: str, settings: Settings, idle: str | None) -> None:
    field = dict(dotted_settings())[name]
    rows = {
        "value": _value_text(name, settings),
        "default": _value_text(name, Settings()),
        "unit": unit_of(field),
        "range": range_of(field),
        "meaning": str(field.description or ""),
        "note": idle or "",
    }
    print_line(name)
    table = PlainTable("", "", show_header=False)
    table.columns[0].no_wrap, table.columns[1].overflow = True, "fold"
    for title, text in rows.items():
        if text:
            table.add_row(f"  {title}", text)
    print_table(table)
