"""A bucket server on this machine: the JSON API of Cloud Storage, and what can go wrong with it."""

import base64
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from gemtune.vertex.folder import Limits

BUCKET = "shelf"
PAGE_SIZE = 4
# Real servers keep parts of this size; the client refuses anything smaller.
PART_BYTES = 256 * 1024

# For a server on the same machine.
FAST = Limits(
    connect_seconds=1,
    control_seconds=0.3,
    part_seconds=0.3,
    part_bytes=PART_BYTES,
    retry_seconds=0.8,
    first_wait_seconds=0.01,
)

_LIST = re.compile(rf"/storage/v1/b/{BUCKET}/o")
_OBJECT = re.compile(rf"/(?:download/)?storage/v1/b/{BUCKET}/o/(.+)")
_UPLOAD = re.compile(rf"/(?:resumable/)?upload/storage/v1/b/{BUCKET}/o")
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


@dataclass
class Stored:
    """An object."""

    content: bytes
    generation: int
    metadata: dict[str, str]


@dataclass
class Fault:
    """Strikes the next `count` requests that match."""

    kind: str
    """A status such as `503`, or reset, hang, lose-answer, corrupt."""
    method: str
    name: str = ""
    """A part of the object's name."""
    count: int = 1


@dataclass
class Session:
    """A resumable upload under way."""

    name: str
    query: dict[str, str]
    about: dict[str, object]
    content: bytearray = field(default_factory=bytearray)


class FakeStorage:
    """The state of the server; tests read and change it."""

    def __init__(self) -> None:
        """Begin with an empty bucket."""
        self.objects: dict[str, Stored] = {}
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str]] = []
        self.changes_left: int | None = None
        """After so many more changes it hears no one any more."""
        self.on_stored: Callable[[str], None] = lambda name: None
        """Called with the name of each new object."""
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()
        self.is_closed = threading.Event()
        self._generation = 0

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects that begin with `prefix`, sorted."""
        return sorted(name for name in self.objects if name.startswith(prefix))

    def put(self, name: str, content: bytes, metadata: dict[str, str] | None = None) -> Stored:
        """Make an object or replace it."""
        self._generation += 1
        self.objects[name] = Stored(content, self._generation, metadata or {})
        self.on_stored(name)
        return self.objects[name]

    def take_fault(self, method: str, name: str) -> str:
        """The kind of the fault that this request meets; empty for none."""
        for fault in self.faults:
            if fault.count and fault.method == method and fault.name in name:
                fault.count -= 1
                return fault.kind
        return ""


@contextmanager
def serving(storage: FakeStorage) -> Iterator[str]:
    """Answer on a free port while the block runs; yields the URL."""

    class Handler(_Handler):
        server_storage = storage

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        storage.is_closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_storage: FakeStorage

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        storage = self.server_storage
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self._body()
        name = self._name_of(url.path, body)
        with storage.lock:
            self.fault = storage.take_fault(method, name)
            storage.log.append((method, name))
            if method != "GET" and storage.changes_left is not None:
                storage.changes_left -= 1
            is_dead = storage.changes_left is not None and storage.changes_left < 0
        if is_dead or self.fault == "reset":
            return self._reset()
        if self.fault == "hang":
            storage.is_closed.wait()
            return self._reset()
        try:
            if self.fault.isdigit():
                raise _Refusal(int(self.fault), "as the test wants it")
            with storage.lock:
                self._route(method, url.path, name, body)
        except _Refusal as refusal:
            text = {"error": {"code": refusal.status, "message": str(refusal)}}
            self._send(refusal.status, json.dumps(text).encode())
        return None

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _name_of(self, path: str, body: bytes) -> str:
        if match := _OBJECT.fullmatch(path):
            return unquote(match[1])
        if session := self.server_storage.sessions.get(self.query.get("upload_id", "")):
            return session.name
        if _UPLOAD.fullmatch(path):
            about = self._split(body)[0] if self._is_multipart() else json.loads(body)
            return str(about["name"])
        return ""

    def _route(self, method: str, path: str, name: str, body: bytes) -> None:
        if f"/b/{BUCKET}/" not in f"{path}/":
            raise _Refusal(404, "The specified bucket does not exist.")
        if method == "GET" and _LIST.fullmatch(path):
            return self._list()
        if _UPLOAD.fullmatch(path):
            if method == "PUT":
                return self._continue(body)
            if self._is_multipart():
                about, content = self._split(body)
                return self._store(name, content, about, self.query)
            return self._begin(name, json.loads(body))
        if method == "GET":
            stored = self._stored(name)
            return self._media(stored) if "alt" in self.query else self._describe(name, stored)
        self._stored(name)
        self._check_generation(name, self.query)
        del self.server_storage.objects[name]
        return self._send(204, b"")

    def _list(self) -> None:
        names = self.server_storage.names(self.query.get("prefix", ""))
        start = int(self.query.get("pageToken", 0))
        page = names[start : start + PAGE_SIZE]
        items = [self._resource(name, self.server_storage.objects[name]) for name in page]
        more = {"nextPageToken": str(start + PAGE_SIZE)} if start + PAGE_SIZE < len(names) else {}
        self._send(200, json.dumps({"kind": "storage#objects", "items": items, **more}).encode())

    def _begin(self, name: str, about: dict[str, object]) -> None:
        self._check_generation(name, self.query)
        sessions = self.server_storage.sessions
        key = str(len(sessions))
        sessions[key] = Session(name, self.query, about)
        host = self.headers["Host"]
        where = f"http://{host}/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&upload_id={key}"
        self._send(200, b"", {"Location": where})

    def _continue(self, body: bytes) -> None:
        session = self.server_storage.sessions[self.query["upload_id"]]
        match = _RANGE.fullmatch(self.headers["Content-Range"])
        assert match
        if match[1]:
            # What is here already is not taken again.
            start = int(match[1])
            session.content[start : start + len(body)] = body
        if match[3] != "*" and len(session.content) == int(match[3]):
            given = self.headers.get("X-Goog-Hash", "").removeprefix("crc32c=")
            about = {**session.about, **({"crc32c": given} if given else {})}
            return self._store(session.name, bytes(session.content), about, session.query)
        return self._send(308, b"", {"Range": f"bytes=0-{len(session.content) - 1}"})

    def _store(
        self, name: str, content: bytes, about: dict[str, object], query: dict[str, str]
    ) -> None:
        if self.fault == "corrupt":
            content = _flip(content)
        self._check_generation(name, query)
        if about.get("crc32c", crc32c(content)) != crc32c(content):
            found = f"Provided CRC32C {about['crc32c']!r} doesn't match {crc32c(content)!r}."
            raise _Refusal(400, found)
        metadata = about.get("metadata") or {}
        assert isinstance(metadata, dict)
        stored = self.server_storage.put(name, content, metadata)
        self._describe(name, stored)

    def _media(self, stored: Stored) -> None:
        wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        start = int(wanted.partition("-")[0])
        content = _flip(stored.content) if self.fault == "corrupt" else stored.content
        headers = {
            "X-Goog-Hash": f"crc32c={crc32c(stored.content)}",
            "X-Goog-Generation": str(stored.generation),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers)

    def _describe(self, name: str, stored: Stored) -> None:
        self._send(200, json.dumps(self._resource(name, stored)).encode())

    def _resource(self, name: str, stored: Stored) -> dict[str, object]:
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "generation": str(stored.generation),
            "metageneration": "1",
            "size": str(len(stored.content)),
            "crc32c": crc32c(stored.content),
            "metadata": stored.metadata,
        }

    def _stored(self, name: str) -> Stored:
        if name not in self.server_storage.objects:
            raise _Refusal(404, f"No such object: {name}")
        return self.server_storage.objects[name]

    def _check_generation(self, name: str, query: dict[str, str]) -> None:
        wanted = query.get("ifGenerationMatch")
        stored = self.server_storage.objects.get(name)
        if wanted is not None and int(wanted) != (stored.generation if stored else 0):
            raise _Refusal(412, "At least one of the pre-conditions you specified did not hold.")

    def _is_multipart(self) -> bool:
        return self.query.get("uploadType") == "multipart"

    def _split(self, body: bytes) -> tuple[dict[str, object], bytes]:
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
        _, first, second, _ = body.split(b"--" + boundary)
        about = json.loads(first.partition(b"\r\n\r\n")[2])
        return about, second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        if self.fault == "lose-answer":
            return self._reset()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)
        return None

    def _reset(self) -> None:
        """Break the connection as a failing network does: RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


def _flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])
