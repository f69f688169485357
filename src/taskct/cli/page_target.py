"""Where a page may be written."""

from pathlib import Path

from taskct.errors import UserError

_PAGES = (".html", ".htm")


def check_page(page: Path | None, option: str = "--page") -> None:
    """Refuse a place that is a folder, lies in none, or holds a file that is no page, such as the ratings themselves.

    A page that is there already is replaced. None is no page and always well.
    """
    if page is None:
        return
    why = None
    if page.is_dir():
        why = f"{page} is a folder"
    elif not page.parent.is_dir():
        why = f"{page.parent} is no folder"
    elif page.exists() and page.suffix.lower() not in _PAGES:
        why = f"{page} exists and is no page ({', '.join(_PAGES)}), so it is not replaced"
    if why is not None:
        raise UserError(f"{why}: choose another {option}")
