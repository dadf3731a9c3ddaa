"""A folder of a bucket: files and small records go in and out, checked, bounded in time."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from google.api_core.exceptions import BadRequest, NotFound, PreconditionFailed
from google.api_core.retry import Retry
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from gemtune.vertex.remote_errors import remote_errors

_CHECKSUM = "crc32c"
_READ_BYTES = 2**20
_N_TRIES_WHEN_CORRUPTED = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take before it counts as failed."""

    connect_seconds: float = 10
    control_seconds: float = 60
    part_seconds: float = 120
    part_bytes: int = 16 * 2**20
    retry_seconds: float = 600
    """For a call with all its repetitions."""
    first_wait_seconds: float = 1


class BucketFolder:
    """A folder of a bucket; names are relative to it.

    Every method raises PrerequisiteError without access to the bucket, and RemoteError when it does
    not answer as it should after all repetitions.
    """

    def __init__(self, bucket: Bucket, prefix: str, limits: Limits) -> None:
        """Nothing is asked of the bucket yet; `prefix` has no slash at its ends."""
        self._bucket, self._prefix, self._limits = bucket, prefix, limits

    def __str__(self) -> str:
        """`gs://bucket/folder`."""
        return f"gs://{self._bucket.name}/{self._prefix}"

    def within(self, limits: Limits) -> "BucketFolder":
        """The same folder with other limits."""
        return BucketFolder(self._bucket, self._prefix, limits)

    def names(self, below: str = "") -> list[str]:
        """The names of all objects that begin with `below`, sorted."""
        with remote_errors(str(self)):
            found = self._bucket.list_blobs(
                prefix=f"{self._prefix}/{below}", timeout=self._control, retry=self._retry
            )
            names = [blob.name.removeprefix(f"{self._prefix}/") for blob in found]
        # Consoles and mounts make empty objects that stand for folders.
        return sorted(name for name in names if name and not name.endswith("/"))

    def upload_new(self, source: Path, name: str) -> None:
        """Send a file to a name that is free, or that holds the same content already."""
        with remote_errors(f"{self}/{name}"):
            try:
                self._upload(source, name, if_generation_match=0)
            except PreconditionFailed:
                # An answer may have got lost on the way back from an upload that did arrive.
                if self._checksum(name) != file_checksum(source):
                    raise

    def upload(self, source: Path, name: str, metadata: Mapping[str, str] | None = None) -> None:
        """Send a file; it replaces what has that name."""
        with remote_errors(f"{self}/{name}"):
            self._upload(source, name, metadata=metadata)

    def download(self, name: str, target: Path) -> bool:
        """Fetch an object into a file; False when it is not there or arrives damaged each time."""
        target.parent.mkdir(parents=True, exist_ok=True)

        def fetch() -> None:
            self._blob(name).download_to_filename(
                target, timeout=self._part, retry=self._retry, checksum=_CHECKSUM
            )

        with remote_errors(f"{self}/{name}"):
            try:
                _repeat_corrupted(fetch)
            except (NotFound, DataCorruption):
                return False
        return True

    def delete(self, name: str, *, generation: int | None = None) -> None:
        """Remove an object, unless it is gone or no longer of that generation."""
        with remote_errors(f"{self}/{name}"):
            try:
                self._blob(name).delete(
                    if_generation_match=generation, timeout=self._control, retry=self._retry
                )
            except (NotFound, PreconditionFailed):
                return

    def checksum(self, name: str) -> str | None:
        """The CRC32C of an object in base 64; None when it is not there."""
        with remote_errors(f"{self}/{name}"):
            return self._checksum(name)

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """What `upload` noted with an object; None when it is not there."""
        with remote_errors(f"{self}/{name}"):
            blob = self._get(name)
            return (blob.metadata or {}) if blob else None

    def read(self, name: str) -> tuple[bytes, int] | None:
        """The content of a small object and its generation; None when it is not there."""
        with remote_errors(f"{self}/{name}"):
            blob = self._get(name)
            if blob is None:
                return None
            try:
                content = blob.download_as_bytes(
                    if_generation_match=blob.generation, timeout=self._control, retry=self._retry
                )
            except (NotFound, PreconditionFailed):
                return None
            assert blob.generation is not None
            return content, blob.generation

    def write(self, name: str, content: bytes, *, generation: int) -> int | None:
        """Replace a small object of a certain generation; 0 stands for none there.

        Returns:
            The new generation; None when the object has another one by now.
        """
        with remote_errors(f"{self}/{name}"):
            blob = self._blob(name)
            try:
                blob.upload_from_string(
                    content,
                    if_generation_match=generation,
                    timeout=self._control,
                    retry=self._retry,
                    checksum=_CHECKSUM,
                )
            except PreconditionFailed:
                found = self.read(name)
                return found[1] if found and found[0] == content else None
            return blob.generation

    @property
    def _control(self) -> tuple[float, float]:
        return self._limits.connect_seconds, self._limits.control_seconds

    @property
    def _part(self) -> tuple[float, float]:
        return self._limits.connect_seconds, self._limits.part_seconds

    @property
    def _retry(self) -> Retry:
        waits = DEFAULT_RETRY.with_delay(initial=self._limits.first_wait_seconds, multiplier=2)
        return waits.with_timeout(self._limits.retry_seconds)

    def _blob(self, name: str) -> Blob:
        return self._bucket.blob(f"{self._prefix}/{name}")

    def _get(self, name: str) -> Blob | None:
        return self._bucket.get_blob(
            f"{self._prefix}/{name}", timeout=self._control, retry=self._retry
        )

    def _checksum(self, name: str) -> str | None:
        blob = self._get(name)
        return blob.crc32c if blob else None

    def _upload(
        self,
        source: Path,
        name: str,
        *,
        if_generation_match: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        # Large files go in parts of that size, each within the time limit of a part.
        blob = self._bucket.blob(f"{self._prefix}/{name}", chunk_size=self._limits.part_bytes)
        blob.metadata = metadata
        _repeat_corrupted(
            lambda: blob.upload_from_filename(
                source,
                if_generation_match=if_generation_match,
                timeout=self._part,
                retry=self._retry,
                checksum=_CHECKSUM,
            )
        )


def file_checksum(path: Path) -> str:
    """The CRC32C of a file as buckets note it: big-endian, in base 64."""
    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode("ascii")


def _repeat_corrupted(transfer: Callable[[], None]) -> None:
    """Repeat a transfer whose content changed on the way."""
    for n_left in reversed(range(_N_TRIES_WHEN_CORRUPTED)):
        try:
            return transfer()
        except (DataCorruption, BadRequest) as error:
            # The server's own check ends in a 400, as every wrong request does.
            if not n_left or (
                isinstance(error, BadRequest) and _CHECKSUM not in str(error).lower()
            ):
                raise
    return None
