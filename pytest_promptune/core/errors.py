"""What goes wrong in a way the user can mend: every error says where, what, what is valid, what to do."""


class PromptuneError(Exception):
    """Base of all errors that a user's input can cause; its text is shown without a traceback."""


class CaseError(PromptuneError):
    """Cases that can't be read or don't identify themselves."""


class BaselineError(PromptuneError):
    """A baseline file that is damaged, of another format version, or missing where one is required."""


class VariantError(PromptuneError):
    """A variant that is unknown, malformed, or changes nothing."""


class OverrideError(PromptuneError):
    """A variant's change of a node that did not reach a model call: the sample is no sample of it."""


class TemplateMismatch(OverrideError):
    """A rendered prompt that is not the one which a variant replaces."""


class ParameterRejected(OverrideError):
    """A parameter of a variant that the model or its provider refuses: not supported, so not measured."""


class SettingsError(PromptuneError):
    """An option or ini key with a value that makes no sense, or two that contradict each other."""


class GoalsError(PromptuneError):
    """A goals file that can't be read: missing, not a file, or not UTF-8."""


class ScoreError(PromptuneError):
    """A score or an output that can't be recorded: NaN, infinite, or not JSON."""


class AppError(PromptuneError):
    """An app that promptune can't call."""


class StatsError(PromptuneError, ValueError):
    """Scores that can't be compared: infinite values, an unknown kind, a variant compared with itself."""


class StoreError(PromptuneError):
    """An experiment log that can't be read: missing, damaged, of a newer version, or lacks what was asked."""


class AggregateError(PromptuneError):
    """An aggregate metric of the user's that can't be computed: it raises, or gives no finite number."""

    def __init__(self, message: str, *, lacking: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: Columns that it asked for and that one side of a comparison doesn't have.
        self.lacking = lacking


class PlotsError(PromptuneError):
    """Plots can't be drawn: a picture is never worth a report, which is there without them."""
