"""What a user can do wrong, as an exception: one line, shown without a traceback, exit status 2."""


class InputError(ValueError):
    """A mistake in what the user gave: what it is, which value, what would be right."""
