"""What goes wrong with the embedded model in a way the user can mend."""

from pytest_promptune.core.errors import PromptuneError


class LocalModelError(PromptuneError):
    """The embedded model can't be fetched, found, started or reached."""
