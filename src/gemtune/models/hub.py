"""Models on a hub: fetched into the hub library's own cache, weights as safetensors only."""

import re
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from gemtune.errors import ArtefactError, PrerequisiteError

# The hub needs to know what is fetched, and nothing of the machine that fetches it.
constants.HF_HUB_DISABLE_TELEMETRY = True
_TOKENIZER_FILES = ("*.json", "*.jinja", "tokenizer.model", "*.txt")
_WEIGHT_FILES = ("*.safetensors",)
# A second copy of the same weights in the format of another library.
_IGNORED_FILES = ("consolidated*.safetensors",)
_REVISION = re.compile(r"\w[\w./-]{0,200}", re.ASCII)
_ANSWER_TIMEOUT_SECONDS = 10.0

_WAYS_OUT = (
    "use 'smollm2-135m', whose weights come from a Python package; name a local model folder or "
    "GGUF file; or run where the hub (or a mirror, HF_ENDPOINT) can be reached"
)


def hub_folder(model: str, revision: str | None, *, with_weights: bool) -> Path:
    """The local folder with the files of a hub model, downloaded if they are not there yet.

    Args:
        model: Hub id such as "gpt2" or "org/name".
        revision: Branch, tag or commit; None for the default branch.
        with_weights: False fetches only the config and the tokenizer.

    Raises:
        ArtefactError: the hub knows no such model or revision.
        PrerequisiteError: the hub cannot be reached and the model is not in the cache, or the
            model wants an account.
    """
    if revision is not None:
        _require_plain_revision(model, revision)
    patterns = [*_TOKENIZER_FILES, *(_WEIGHT_FILES if with_weights else ())]
    try:
        # Asked first because it gives up in seconds; a download waits minutes for a silent hub.
        HfApi().model_info(model, revision=revision, timeout=_ANSWER_TIMEOUT_SECONDS)
        return Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=[*_IGNORED_FILES],
            )
        )
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _refused(model, revision, error) from error
    except (HTTPError, HfHubHTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        return _cached_folder(model, revision, patterns, error)


def _require_plain_revision(model: str, revision: str) -> None:
    """The hub's library makes a path in its cache of it, and adapters name revisions too."""
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ArtefactError(
            f"model '{model}': {revision!r} is no name of a revision",
            fix="check fine_tuning.revision: a branch, a tag or a commit",
        )


def _cached_folder(model: str, revision: str | None, patterns: list[str], error: Exception) -> Path:
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=[*_IGNORED_FILES],
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        raise PrerequisiteError(
            f"model '{model}': the model hub cannot be reached and the model is not (whole) on "
            f"this machine ({error})",
            fix=_WAYS_OUT,
        ) from error
    return Path(folder)


def _refused(model: str, revision: str | None, error: Exception) -> Exception:
    match error:
        case GatedRepoError():
            return PrerequisiteError(
                f"model '{model}' wants an account that accepted its licence",
                fix="accept the licence on the model's page and set HF_TOKEN",
            )
        case RevisionNotFoundError():
            return ArtefactError(
                f"model '{model}' has no revision '{revision}'",
                fix="check fine_tuning.revision: a branch, a tag or a commit",
            )
        case _:
            return ArtefactError(
                f"unknown model '{model}': no alias, no local folder or file, and the hub has no "
                "such model that this account may see",
                fix="check fine_tuning.model; a private model needs HF_TOKEN",
            )
