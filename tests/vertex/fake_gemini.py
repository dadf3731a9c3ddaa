"""A server on this machine that speaks `generateContent` of Vertex AI, and hands out tokens."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gemtune.vertex.gemini_retry import GeminiLimits

# For a server on the same machine.
FAST = GeminiLimits(
    request_seconds=0.5, retry_seconds=3, first_wait_seconds=0.01, max_wait_seconds=0.02
)


@dataclass(frozen=True)
class Reply:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0


@dataclass
class FakeGemini:
    """The state of the server; tests read and change it."""

    choice: str = "tie"
    replies: list[Reply] = field(default_factory=list)
    """Taken first, one a request; then every request gets `choice`."""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    is_closed: threading.Event = field(default_factory=threading.Event)


def said(text: str, **candidate: Any) -> Reply:
    """The reply of a model that says `text`."""
    content = {"role": "model", "parts": [{"text": text}]}
    found = {"content": content, "finishReason": "STOP", **candidate}
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 7}
    return Reply(body=json.dumps({"candidates": [found], "usageMetadata": usage}).encode())


def refused(status: int, message: str, reason: str = "", **headers: str) -> Reply:
    """The reply of a service that will not."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    error = {"code": status, "message": message, "status": "REFUSED", "details": details}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": error}).encode(), named)


@contextmanager
def serving_gemini(gemini: FakeGemini) -> Iterator[str]:
    """Serve in the background while the block runs; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/token":
                token = {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
                self._send(Reply(body=json.dumps(token).encode()))
                return
            gemini.paths.append(self.path)
            gemini.headers.append(dict(self.headers))
            gemini.bodies.append(json.loads(content))
            answer = json.dumps({"reason": "because", "choice": gemini.choice})
            self._send(gemini.replies.pop(0) if gemini.replies else said(answer))

        def _send(self, reply: Reply) -> None:
            gemini.is_closed.wait(reply.delay_seconds)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            # A client that gave up hears no answer.
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        gemini.is_closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_private_key() -> str:
    """A new key, in the form that the file of a service account holds it."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def write_account(path: Path, url: str, private_key: str) -> None:
    """Write the file of a service account whose tokens come from the server at `url`."""
    account = {
        "type": "service_account",
        "project_id": "home-of-the-account",
        "client_email": "tester@example.com",
        "token_uri": f"{url}/token",
        "private_key": private_key,
    }
    path.write_text(json.dumps(account))
