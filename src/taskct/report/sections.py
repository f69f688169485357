"""Pages of sections, for what is not the report of one run: comparisons, observers on one's images, reader studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskct.files import write_text
from taskct.report.figures import Picture
from taskct.report.html import template
from taskct.report.tables import Table


@dataclass(frozen=True)
class Captioned:
    """A picture with its words."""

    picture: Picture
    alt: str
    """What it shows, for those who do not see it."""
    caption: str
    drawing: bool = True
    """Whether it is lines on white, whose brightness is turned over on a dark page; an image of a scan is not."""


@dataclass(frozen=True)
class PageSection:
    """A heading and what stands below it, in this order."""

    heading: str
    texts: Sequence[str] = ()
    pictures: Sequence[Captioned] = ()
    tables: Sequence[Table] = ()
    items: Sequence[str] = ()
    """A numbered list, such as references."""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class SectionsPage:
    """A whole page."""

    kind: str
    """What wrote it, such as "compare"."""
    title: str
    leads: Sequence[str]
    """Sentences at its head; the first is the answer."""
    sections: Sequence[PageSection]
    refresh_s: int = 0
    """Seconds after which a browser loads it again; 0 for never."""


def render_sections(page: SectionsPage) -> str:
    """Return a page as HTML."""
    return template("sections.html.j2").render(page=page)


def write_sections(path: Path, page: SectionsPage) -> Path:
    """Write a page, one HTML file that opens offline, whole or not at all."""
    write_text(path, render_sections(page))
    return path
