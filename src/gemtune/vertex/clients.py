"""The only place that builds Google clients."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import google.auth
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.storage import Bucket, Client

from gemtune.vertex.remote_errors import no_credentials_error

if TYPE_CHECKING:
    from google import genai

_CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@contextmanager
def open_bucket(name: str) -> Iterator[Bucket]:
    """Keep access to a bucket while the block runs; nothing is asked of it yet.

    `STORAGE_EMULATOR_HOST` names a server to use in the place of Google's.

    Raises:
        PrerequisiteError: this machine has no credentials.
    """
    # Else the library looks the bucket up for its traces, which takes one more permission.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    try:
        # Buckets are known by name alone; asking for a project would refuse most machines.
        client = Client(project=None)
    except DefaultCredentialsError as error:
        raise no_credentials_error(f"gs://{name}", error) from error
    with closing(client):
        yield client.bucket(name)


@contextmanager
def open_gemini(project: str, location: str, request_seconds: float) -> "Iterator[genai.Client]":
    """Keep access to the models of Vertex AI while the block runs; nothing is asked of them yet.

    A call is tried once: who makes it knows best what to do then. `GOOGLE_VERTEX_BASE_URL` names a
    server to use in the place of Google's.

    Args:
        project: Who pays.
        location: A region, a multi-region or `global`.
        request_seconds: How long the server may stay silent.

    Raises:
        PrerequisiteError: this machine has no credentials.
    """
    from google import genai  # noqa: PLC0415 - takes two seconds, and buckets do not need it
    from google.genai.types import HttpOptions  # noqa: PLC0415 - the same

    try:
        credentials, _ = google.auth.default(scopes=[_CLOUD_SCOPE])
    except DefaultCredentialsError as error:
        raise no_credentials_error(f"project {project}", error) from error
    # All are named, so that no variable of the environment brings in another project or key.
    client = genai.Client(
        enterprise=True,
        project=project,
        location=location,
        credentials=credentials,
        http_options=HttpOptions(timeout=round(request_seconds * 1000)),
    )
    with closing(client):
        yield client
