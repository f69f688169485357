"""Show the examples, notebooks in percent format, as pages: text as text, code as code, and their pictures."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CELL = re.compile(r"^# %%[ \t]*(\[markdown\])?[^\n]*$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List them in the navigation."""
    entry = next(one for one in config.nav or [] if "Examples" in one)
    entry["Examples"] = ["examples/index.md", *(f"examples/{path.stem}.md" for path in EXAMPLES)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each, and one that lists them."""
    lines = ["# Examples", "", "Notebooks in percent format: run them as scripts, or open them with jupytext.", ""]
    for path in EXAMPLES:
        text = page(path)
        picture = f"examples/{path.stem}.png"
        if files.get_file_from_path(picture) is not None:
            text += f"\n## What it draws\n\n![What {path.name} draws]({path.stem}.png)\n"
        files.append(File.generated(config, f"examples/{path.stem}.md", content=text))
        title = re.search(r"^# (.*)$", text, re.MULTILINE)
        lines.append(f"- [{title[1] if title else path.stem}]({path.stem}.md): `examples/{path.name}`")
    files.append(File.generated(config, "examples/index.md", content="\n".join(lines) + "\n"))
    return files


def page(path: Path) -> str:
    """One example as Markdown."""
    source = path.read_text(encoding="utf-8")
    first, *cells = CELL.split(source)
    parts = [_docstring(first)]
    for markdown, body in zip(cells[::2], cells[1::2], strict=True):
        if markdown:
            parts.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()))
        elif body.strip():
            parts.append(f"```python\n{body.strip()}\n```")
    text = "\n\n".join(part for part in parts if part)
    if not re.match(r"# ", text):
        text = f"# {path.stem.replace('_', ' ').capitalize()}\n\n{text}"
    head, _, rest = text.partition("\n")
    return f"{head}\n\nThe file: `examples/{path.name}`.\n{rest}\n"


def _docstring(text: str) -> str:
    """What stands before the first cell: a docstring, without jupytext's header."""
    text = re.sub(r"\A# ---\n.*?^# ---\n", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.search(r'"""(.*?)"""', text, re.DOTALL)
    return found[1].strip() if found else ""
