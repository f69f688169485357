"""Write the pages of the settings and of the presets from the code, so that they cannot go stale."""

from collections import defaultdict
from importlib.resources import files

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from taskct.config import Settings, dotted_settings, preset_names, range_of, unit_of

SETTINGS_HEAD = """# Settings

Every setting with its default, unit, allowed values and meaning. `taskct config` prints the same list.
`taskct config NAME` explains one setting or one group, and `taskct config --filter WORD` searches.
A file with all of them starts a study of your own:

    taskct config --yaml > study.yaml

A setting is changed in that file, or on the command line by its dotted name: `--set scanner.dose_fraction=0.5`.
In a range, `[` and `]` include the limit, `(` and `)` exclude it.
"""
PRESETS_HEAD = """# Presets

Studies that come with taskct. What a preset does not name has its default, see [Settings](settings.md).
`taskct config --preset NAME --yaml` prints all values of one.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add both pages."""
    files.append(File.generated(config, "reference/settings.md", content=settings_page()))
    files.append(File.generated(config, "reference/presets.md", content=presets_page()))
    return files


def settings_page() -> str:
    """A table for each section of the tree."""
    values = Settings().model_dump(mode="json")
    rows = defaultdict(list)
    for name, field in dotted_settings():
        section, _, last = name.rpartition(".")
        value = values[section][last] if section else values[last]
        unit = unit_of(field)
        default = f"`{'null' if value is None else value}`" + (f" {unit}" if unit else "")
        cells = (f"`{name}`", default, range_of(field), str(field.description or ""))
        rows[section].append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    parts = [SETTINGS_HEAD]
    for section, lines in rows.items():
        head = "| setting | default | allowed | meaning |\n|---|---|---|---|"
        parts.append("\n".join([f"## {section or 'study'}", "", head, *lines, ""]))
    return "\n".join(parts)


def presets_page() -> str:
    """The files of the presets, as they are."""
    folder = files("taskct") / "presets"
    parts = [PRESETS_HEAD]
    for name in preset_names():
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        parts.append(f"## {name}\n\n```yaml\n{text}```\n")
    return "\n".join(parts)
