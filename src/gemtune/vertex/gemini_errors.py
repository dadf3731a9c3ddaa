"""What the library for Gemini raises, in words of this project."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import requests
from google.auth import exceptions as auth
from google.genai import errors as genai

from gemtune.errors import GemtuneError, PrerequisiteError, RemoteError
from gemtune.vertex.remote_errors import first_line, no_credentials_error

# Version 2 of the library speaks through httpx, version 3 through httpx2.
TRANSPORT_ERRORS: tuple[type[Exception], ...] = (
    requests.RequestException,
    *(import_module(name).HTTPError for name in ("httpx", "httpx2") if find_spec(name)),
)
_AGAIN = "run the same command again: what was judged is kept"


@contextmanager
def gemini_errors(model: str, project: str, location: str) -> Iterator[None]:
    """Translate what goes wrong with a call while the block runs.

    Raises:
        PrerequisiteError: no credentials, no permission, no quota, or no such model.
        RemoteError: the service did not answer as it should.
    """
    try:
        yield
    except genai.APIError as error:
        raise _refusal(model, project, location, error) from error
    except (auth.DefaultCredentialsError, auth.RefreshError) as error:
        raise no_credentials_error(f"project {project}", error) from error
    # The library says ValueError when it cannot read what came.
    except (*TRANSPORT_ERRORS, auth.GoogleAuthError, ConnectionError, ValueError) as error:
        raise RemoteError(
            f"{model}: the service does not answer as it should: {first_line(error)}", fix=_AGAIN
        ) from error


def _refusal(model: str, project: str, location: str, error: genai.APIError) -> GemtuneError:
    said = next(iter(str(error.message or error.status or "").splitlines()), "no reason given")
    match error.code:
        case 401:
            return no_credentials_error(f"project {project}", error)
        case 403 if "SERVICE_DISABLED" in _reasons(error.details):
            return PrerequisiteError(
                f"project {project}: Vertex AI is not switched on",
                fix=f"gcloud services enable aiplatform.googleapis.com --project {project}",
            )
        case 403:
            return PrerequisiteError(
                f"project {project}: you are not allowed to ask {model}: {said}",
                fix="ask the owner of the project for the role roles/aiplatform.user",
            )
        case 404:
            return PrerequisiteError(
                f"{model}: there is no such model for project {project} in {location}",
                fix="check evaluation.judge.model and evaluation.judge.location",
            )
        case 429:
            return PrerequisiteError(
                f"project {project}: the quota for {model} is used up: {said}",
                fix=f"wait a while, then {_AGAIN}; or ask for more quota",
            )
        case _:
            return RemoteError(
                f"{model}: the service does not answer as it should: {error.code} {said}",
                fix=_AGAIN,
            )


def _reasons(details: Any) -> list[str]:
    """The machine-readable reasons of a refusal, which may be of any shape."""
    listed = details.get("error", {}).get("details", []) if isinstance(details, dict) else []
    return [str(found.get("reason")) for found in listed if isinstance(found, dict)]
