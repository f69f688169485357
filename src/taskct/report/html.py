"""Templates of pages: every text that they are given is shown as it is."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from taskct.literal import shown


def template(name: str) -> Template:
    """The template of a page, which escapes what it is given: HTML's own characters, and those that act unseen."""
    environment = Environment(
        loader=PackageLoader("taskct", "report"),
        autoescape=True,
        finalize=_literal,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _literal(value: object) -> object:
    # A macro of the template gives markup, in which all is escaped already.
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
