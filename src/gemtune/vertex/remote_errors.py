"""What Google's libraries raise, in words of this project."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from gemtune.errors import PrerequisiteError, RemoteError


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """Translate what goes wrong with the bucket in `url` while the block runs.

    Raises:
        PrerequisiteError: no credentials, no permission, or no such bucket.
        RemoteError: the bucket did not answer as it should, after all retries.
    """
    try:
        yield
    except (auth.DefaultCredentialsError, auth.RefreshError, api.Unauthorized) as error:
        raise no_credentials_error(url, error) from error
    except api.Forbidden as error:
        raise PrerequisiteError(
            f"{url}: you are not allowed to do this: {first_line(error)}",
            fix="ask the owner of the bucket for the role roles/storage.objectUser",
        ) from error
    except api.NotFound as error:
        bucket = "/".join(url.split("/")[:3])
        raise PrerequisiteError(
            f"{bucket}: there is no such bucket",
            fix=f"check the name, or make it: gcloud storage buckets create {bucket}",
        ) from error
    except (
        api.GoogleAPIError,
        auth.GoogleAuthError,
        requests.RequestException,
        DataCorruption,
        InvalidResponse,
        ConnectionError,
    ) as error:
        raise RemoteError(
            f"{url}: the bucket does not answer as it should: {first_line(error)}",
            fix="run the same command again: it goes on from the newest checkpoint",
        ) from error


def no_credentials_error(url: str, error: Exception) -> PrerequisiteError:
    """Say that Google does not know who is asking."""
    return PrerequisiteError(
        f"{url}: no valid Google credentials on this machine: {first_line(error)}",
        fix="gcloud auth application-default login",
    )


def first_line(error: Exception) -> str:
    """What an error says, or what it is where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
