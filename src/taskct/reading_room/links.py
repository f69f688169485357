"""The links of a reading study: an unguessable token for each reader, and one for the organiser."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from taskct.errors import UserError

TOKEN_BYTES = 24
"""192 bits of a token."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{22,86}")
"""128 bits and more, as `secrets.token_urlsafe` writes them."""

READER_NAME = re.compile(r"[^\W_](?:[\w .-]{0,38}[\w.-])?")
"""Letters of any script, digits, blanks, points, hyphens and underscores."""

MAX_READERS = 200


@dataclass(frozen=True)
class Links:
    """Who may open what: whoever knows a token."""

    readers: dict[str, str]
    """Token of each reader, by name."""
    organiser: str
    """Token of the organiser's page."""

    def __post_init__(self) -> None:
        tokens = [*self.readers.values(), self.organiser]
        if not all(TOKEN.fullmatch(token) for token in tokens):
            raise ValueError("a token is not of 22 to 86 letters, digits, hyphens and underscores")
        if len(set(tokens)) < len(tokens):
            raise ValueError("a token stands twice")
        check_readers(tuple(self.readers))


def make_links(readers: Sequence[str]) -> Links:
    """New links, each with a token of its own from the machine's source of secrets."""
    return Links({name: secrets.token_urlsafe(TOKEN_BYTES) for name in readers}, secrets.token_urlsafe(TOKEN_BYTES))


def check_readers(names: Sequence[str]) -> tuple[str, ...]:
    """Names of readers, once they are known to be allowed and of one reader each; else a `UserError`."""
    if not 1 <= len(names) <= MAX_READERS:
        raise UserError(f"{len(names)} readers; give 1 to {MAX_READERS}")
    for name in names:
        if not READER_NAME.fullmatch(name):
            raise UserError(
                f"a reader is called {name!r}; give 1 to 40 letters, digits, blanks, points, hyphens or underscores, "
                "a letter or digit first"
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two readers are called {twice!r}: give each a name of their own")
    return tuple(names)


def readers_of(text: str) -> tuple[str, ...]:
    """Readers from text: how many, called reader-1 and on, or their names with commas between.

    >>> readers_of("2"), readers_of("Ann, Bo")
    (('reader-1', 'reader-2'), ('Ann', 'Bo'))
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,6}", text):
        n = int(text)
        if not 1 <= n <= MAX_READERS:
            raise UserError(f"--readers is {n}; give 1 to {MAX_READERS} readers, or their names with commas between")
        return tuple(f"reader-{number}" for number in range(1, n + 1))
    return check_readers([name.strip() for name in text.split(",")])
