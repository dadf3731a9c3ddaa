"""The only place that builds Google clients."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from google.auth.exceptions import DefaultCredentialsError
from google.cloud.storage import Bucket, Client

from gemtune.vertex.remote_errors import no_credentials_error


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
