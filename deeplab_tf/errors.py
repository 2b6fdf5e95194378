"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """Something in the user's hands is wrong: a flag, a file, a label, a checkpoint.

    The message is one sentence that names the thing, what was got, what was expected and what to do. The command
    line programs print it on one line of stderr and exit with code 2; anything else that escapes is a bug of ours.
    """
