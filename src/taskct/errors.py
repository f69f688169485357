"""The one error a user's mistake raises; every room may use it."""


class UserError(ValueError):
    """A mistake that the user can mend.

    The message is one line: what is wrong, where, the allowed range with its unit, and what to do. The command
    line prints it without a traceback and exits with status 2.
    """
