"""Templates of pages: every text that they are given is shown as it is."""

import functools
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from taskct.literal import shown


def template(name: str) -> Template:
    """The template of a page, which escapes what it is given: HTML's own characters, and those that act unseen.

    A page extends `base.html.j2`, which has the style and the script of all pages.
    """
    return _environment().get_template(name)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("taskct", "report"),
        autoescape=True,
        finalize=_literal,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset
    return environment


def asset(name: str) -> Markup:
    """The text of a file of `assets/`, which is taskct's own: it goes into the page as it is."""
    return Markup(resources.files("taskct.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _literal(value: object) -> object:
    # A macro of the template gives markup, in which all is escaped already.
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
