"""The border to the user: every exception becomes a few lines on stderr and an exit code."""

import errno
import tempfile
import traceback
from contextlib import suppress

import click

from gemtune.cli.out_of_memory import out_of_memory_error
from gemtune.cli.stopping import report_stop
from gemtune.cli.terminal import plain_text
from gemtune.errors import GemtuneError, MissingExtraError, ResourceError, UsageError
from gemtune.redaction import redact

# It needs the standard library only.
from gemtune.runs.files import as_os_error  # noqa: TID253

EXIT_BUG = 1
EXIT_BROKEN_PIPE = 141

_LOCAL_MODULES = (
    "gguf",
    "httpx2",
    "huggingface_hub",
    "peft",
    "psutil",
    "safetensors",
    "tensorboard",
    "torch",
    "transformers",
)
_TUNE_MODULES = ("optuna", "psycopg", "sqlalchemy")
_EXTRA_OF_MODULE = {
    **dict.fromkeys(_LOCAL_MODULES, "local"),
    **dict.fromkeys(_TUNE_MODULES, "tune"),
    "google": "vertex",
}


def report_error(error: BaseException, *, debug: bool) -> int:
    """Print what went wrong, and return the exit code that says so to machines."""
    if debug:
        click.echo(plain_text("".join(traceback.format_exception(error))), nl=False, err=True)
    if interrupt := _interrupt_behind(error):
        return report_stop(interrupt)
    match error:
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            return _report_usage(error)
        case ModuleNotFoundError() if _top_module(error) in _EXTRA_OF_MODULE:
            error = _missing_extra(_top_module(error))
        case Exception() if not isinstance(error, GemtuneError):
            error = out_of_memory_error(error) or _refused_by_the_system(error) or error
        case _:
            pass
    if isinstance(error, GemtuneError):
        _print(str(error), error.fix)
        return error.exit_code
    return _report_bug(error)


def _interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that was turned into another exception, as click and C modules do."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause


def _report_usage(error: click.ClickException) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    fix = f"`{context.command_path} --help` shows what it takes" if context else ""
    _print(error.format_message(), fix)
    return error.exit_code


def _report_bug(error: BaseException) -> int:
    what = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    _print(f"this is a bug in gemtune: {what}", f"please report it with {_keep_traceback(error)}")
    return EXIT_BUG


def _keep_traceback(error: BaseException) -> str:
    """Say where it is kept; a full disk must not hide what went wrong before."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="gemtune-bug-", suffix=".txt", delete=False
        ) as file:
            file.write(redact("".join(traceback.format_exception(error))))
    except OSError:
        return "what --debug shows"
    return f"the traceback in {file.name}"


def _refused_by_the_system(error: Exception) -> GemtuneError | None:
    """What the user can cure of the ways in which files cannot be read or written."""
    refusal = as_os_error(error)
    if refusal is None:
        return None
    # Copying and renaming name two files; the second is the one that was to be written.
    path = refusal.filename2 or refusal.filename
    place = f"{path}: " if path else ""
    match refusal.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return ResourceError(
                f"{place}no space is left on the disk",
                fix="free some space or choose a folder on another disk, then run it again",
            )
        case errno.EFBIG:
            return ResourceError(
                f"{place}a limit on file size forbids to write this much",
                fix="raise the limit (`ulimit -f`) or choose a folder on another disk, then run it "
                "again",
            )
        case errno.EIO | errno.ENXIO | errno.ENODEV | errno.ESTALE:
            return ResourceError(
                f"{place}the disk failed: {refusal.strerror}",
                fix="see what the log of the system says of it, or choose a folder on another "
                "disk; then run it again",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return UsageError(
                f"{place}{refusal.strerror}", fix="choose a place that you may read and write"
            )
        case errno.ENOTDIR | errno.EISDIR | errno.ENAMETOOLONG | errno.ELOOP:
            return UsageError(f"{place}{refusal.strerror}", fix="check the path")
        case _:
            return None


def _missing_extra(module: str) -> MissingExtraError:
    extra = _EXTRA_OF_MODULE[module]
    return MissingExtraError(
        f"this command needs {module!r}, which is not installed",
        fix=f"pip install 'gemtune[{extra}]'",
    )


def _top_module(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


def _print(message: str, fix: str) -> None:
    _print_labelled("error:", "red", message)
    if fix:
        _print_labelled("fix:", "green", fix)


def _print_labelled(label: str, colour: str, text: str) -> None:
    # The exit code says it too, if nobody is there to read.
    with suppress(OSError):
        click.echo(f"{click.style(label, fg=colour, bold=True)} {plain_text(text)}", err=True)
