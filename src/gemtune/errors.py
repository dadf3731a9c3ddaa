"""Every error that gemtune raises on purpose, and the exit code each one ends the command with.

GemtuneError                          1   (never raised itself: an unknown exception is a bug)
├── UsageError (ValueError)           2   the command line or the state of the output folder
│   ├── ConfigError                   2   a config file or an override is wrong
│   └── RunLockedError                2   another process works on the same run folder
├── DataError (ValueError)            3   the training, validation or test data is wrong
├── ArtefactError (ValueError)        4   a model, adapter, tokenizer or run folder cannot be used
├── NotFiniteError (ArithmeticError)  5   the loss or a gradient is not a finite number
├── ResourceError (RuntimeError)      6   out of memory or disk
│   └── OutOfMemoryError              6   out of memory alone
├── BudgetError (RuntimeError)        7   the time or the money that was given is too little
├── RemoteError (RuntimeError)        8   a service did not answer as it should, after retries
└── PrerequisiteError (RuntimeError)  9   something outside the project is missing
    └── MissingExtraError (ImportError) 9  an optional dependency is not installed

To add one: choose the exit code from docs/reference/exit_codes.md, inherit the standard class that
a caller would have caught, draw it above. A message says what is wrong and where, then why; `fix`
says what to do next. Errors stay picklable, because they cross process borders.
"""


class GemtuneError(Exception):
    """Base of all errors that a user can cause and cure."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        """Keep what is wrong (`message`) apart from what to do about it (`fix`)."""
        super().__init__(message)
        self.fix = fix


class UsageError(GemtuneError, ValueError):
    """The command line or the state of the output folder is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file or an override is wrong."""


class RunLockedError(UsageError):
    """Another process works on the same run folder."""


class DataError(GemtuneError, ValueError):
    """The training, validation or test data is wrong."""

    exit_code = 3


class ArtefactError(GemtuneError, ValueError):
    """A model, adapter, tokenizer or run folder cannot be used."""

    exit_code = 4


class NotFiniteError(GemtuneError, ArithmeticError):
    """The loss or a gradient is not a finite number."""

    exit_code = 5


class ResourceError(GemtuneError, RuntimeError):
    """Out of memory or disk."""

    exit_code = 6


class OutOfMemoryError(ResourceError):
    """Out of memory, for want of which a smaller piece of work may still be done."""


class BudgetError(GemtuneError, RuntimeError):
    """The time or the money that was given is too little."""

    exit_code = 7


class RemoteError(GemtuneError, RuntimeError):
    """A service did not answer as it should, after all retries."""

    exit_code = 8


class PrerequisiteError(GemtuneError, RuntimeError):
    """Something outside the project is missing."""

    exit_code = 9


class MissingExtraError(PrerequisiteError, ImportError):
    """An optional dependency is not installed."""
