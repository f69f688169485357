"""The one error a user's mistake raises; every room may use it."""

import errno
import re

from taskct.literal import shown

LONGEST_WORD, LONGEST = 250, 1000
"""Characters of a message; files may hold names of any length."""


class UserError(ValueError):
    """A mistake that the user can mend.

    The message is one line: what is wrong, where, the allowed range with its unit, and what to do. The command
    line prints it without a traceback and exits with status 2. What it quotes of files is shown literally.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(_short(" ".join(message.splitlines()))))


def _short(message: str) -> str:
    """The message with the middle left out of what is too long to read: a word, or all of it."""
    if len(message) <= LONGEST_WORD:
        return message
    words = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:100]}…{word[0][-50:]}", message)
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 150]} … {words[-140:]}"


def unreadable(path: object, error: OSError) -> UserError:
    """What to tell when the machine does not let a file be read: its own reason, and nothing of what the file holds.

    Examples
    --------
    >>> str(unreadable("study.yaml", PermissionError(13, "Permission denied")))
    'study.yaml cannot be read: Permission denied; mend that and give the same command'
    """
    # Some libraries raise it without the system's words, but with the path once more.
    reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
    return UserError(f"{path} cannot be read: {reason}; mend that and give the same command")


def memory_wanted(error: BaseException | None) -> str | None:
    """How much memory an error, or one that it came from, asked for in vain; None if memory is not what was short.

    Examples
    --------
    >>> memory_wanted(MemoryError("Unable to allocate 1.00 TiB for an array with shape (2, 2)"))
    ' (1.00 TiB wanted)'
    >>> memory_wanted(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."))
    ' (4096 bytes wanted)'
    >>> memory_wanted(MemoryError()), memory_wanted(ValueError("cannot allocate a name"))
    ('', None)
    """
    while error is not None:
        # torch has an error of its own on a GPU alone, and plain words elsewhere.
        short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        short = short or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        if short or (isinstance(error, RuntimeError) and re.search(r"can't allocate memory|out of memory", str(error))):
            wanted = re.search(r"allocate ([\d.]+) (bytes|[KMGTPE]?i?B)", str(error))
            if wanted is None:
                return ""
            in_gib = wanted[2] == "bytes" and float(wanted[1]) >= 2**20
            return f" ({float(wanted[1]) / 2**30:.3g} GiB wanted)" if in_gib else f" ({wanted[1]} {wanted[2]} wanted)"
        error = error.__cause__ or error.__context__
    return None
