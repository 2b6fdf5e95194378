"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """Something in the user's hands is wrong: a flag, a file, a label, a checkpoint.

    The message is one sentence that names the thing, what was got, what was expected and what to do. The command
    line programs print it on one line of stderr and exit with code 2; anything else that escapes is a bug of ours.
    """


def some_failed(count: int, done: str, reasons: str) -> UserError:
    """The closing sentence of a program that did what it could: `count` pictures could not be `done`, and where it says why."""
    return UserError(f"{count:,} picture{'s' * (count > 1)} could not be {done}, the others are done; {reasons}.")
