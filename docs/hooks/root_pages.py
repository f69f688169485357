"""Take pages of the repository's root into the site, their links made to fit."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {"CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    for name, place in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)
        text = re.sub(r"\[([^\]]+)\]\(src/[^)]+\)", r"\1", text)  # the source is not on the site
        for other, its_place in PAGES.items():
            text = text.replace(f"]({other})", f"]({Path(its_place).name})")
        files.append(File.generated(config, place, content=text))
    return files
