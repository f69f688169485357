"""The one error a user's mistake raises; every room may use it."""

from taskct.literal import shown


class UserError(ValueError):
    """A mistake that the user can mend.

    The message is one line: what is wrong, where, the allowed range with its unit, and what to do. The command
    line prints it without a traceback and exits with status 2. What it quotes of files is shown literally.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(" ".join(message.splitlines())))


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
