"""Where a run happens on this machine before it is in the bucket."""

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gemtune.errors import ArtefactError, UsageError
from gemtune.models.cache import cache_dir
from gemtune.runs.files import write_json

LINK_FILE = "bucket.json"
_URL = re.compile(r"gs://([a-z0-9][a-z0-9._-]+)/(.+)")
_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Link:
    """What ties a work folder to a run in a bucket."""

    url: str
    holder: str
    """Random: the identity of the work folder."""
    run: str
    """Random: the identity of the run that is in the folder."""


def split_url(url: str) -> tuple[str, str]:
    """Split `gs://bucket/folder` into the names of the bucket and the folder.

    Raises:
        UsageError: it does not name a folder in a bucket.
    """
    match = _URL.fullmatch(url.rstrip("/"))
    if not match or not all(map(_is_plain, match[2].split("/"))):
        raise UsageError(
            f"{url!r} names no folder in a bucket",
            fix="write gs://BUCKET/FOLDER, without . and .. and none of the characters *?#[]",
        )
    return match[1], match[2]


def default_work_dir(url: str) -> Path:
    """The work folder of a run in a bucket: always the same one for the same URL."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", url.rpartition("/")[2])
    digest = hashlib.sha256(url.encode()).hexdigest()[:_DIGEST_LENGTH]
    return cache_dir() / "runs" / f"{name}-{digest}"


def open_link(work_dir: Path, url: str) -> Link:
    """Read what ties the folder to its bucket; tie it to `url` if nothing does.

    Raises:
        UsageError: it belongs to another URL.
        ArtefactError: what ties it is damaged.
    """
    path = work_dir / LINK_FILE
    if not path.exists():
        return _write(work_dir, Link(url, secrets.token_hex(8), secrets.token_hex(8)))
    try:
        link = Link(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ArtefactError(
            f"{path} is damaged: {error}",
            fix="name another folder with --work-dir: what the bucket has is fetched again",
        ) from error
    if link.url != url:
        raise UsageError(
            f"{work_dir} is the work folder of {link.url}, not of {url}",
            fix="name another folder with --work-dir",
        )
    return link


def relink(work_dir: Path, link: Link, run: str | None = None) -> Link:
    """Note that the folder holds another run from now on: `run`, or a new one."""
    return _write(work_dir, replace(link, run=run or secrets.token_hex(8)))


def _write(work_dir: Path, link: Link) -> Link:
    write_json(work_dir / LINK_FILE, asdict(link))
    return link


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and part.isprintable() and not set(part) & set("*?#[]\\")
