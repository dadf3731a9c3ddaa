"""Hub models against a small hub on this machine, and against a hub that is not there."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NO_HUB = "http://127.0.0.1:9"
# A fresh process, because huggingface_hub reads its environment when it is imported.
ASK = """
import json, sys
from gemtune.errors import GemtuneError
from gemtune.models.hub import hub_folder
model, revision, with_weights = json.loads(sys.argv[1])
try:
    answer = {"folder": str(hub_folder(model, revision, with_weights=with_weights))}
except GemtuneError as error:
    answer = {"exit_code": error.exit_code, "message": str(error), "fix": error.fix}
print(json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class FakeHub:
    """A hub with one model; `refusals` maps other ids to a status and the hub's error code."""

    url: str
    files: dict[str, bytes]
    refusals: dict[str, tuple[int, str]]
    fetched: list[str] = field(default_factory=list)


def ask(
    home: Path, hub: str, model: str, *, revision: str | None = None, with_weights: bool = True
) -> dict[str, str]:
    """What `hub_folder` answers in a process whose hub cache is `home`."""
    environment = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps([model, revision, with_weights])],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def hub(tiny_llama_dir: Path) -> Iterator[FakeHub]:
    files = {path.name: path.read_bytes() for path in tiny_llama_dir.iterdir()}
    files["pytorch_model.bin"] = b"a pickle that nobody may fetch"
    files["modeling_evil.py"] = b"raise SystemExit('code of a checkpoint ran')"
    files["README.md"] = b"# not needed"
    files["consolidated.safetensors"] = b"the same weights once more, for another library"
    server = _Server(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.hub
    server.shutdown()
    thread.join()
    server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        refusals = {
            "org/unknown": (404, "RepoNotFound"),
            "org/gated": (403, "GatedRepo"),
            "org/broken": (500, ""),
        }
        self.hub = FakeHub(f"http://127.0.0.1:{self.server_port}", files, refusals)


class _Handler(BaseHTTPRequestHandler):
    """The four routes that huggingface_hub uses: model, revision, tree and resolve."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of the test's output."""

    def _answer(self) -> None:
        hub = cast(_Server, self.server).hub
        path = urlsplit(self.path).path
        for model, (status, code) in hub.refusals.items():
            if model in path:
                return self._send(status, b"{}", {"X-Error-Code": code})
        if "/revision/" in path and not path.endswith(("/main", COMMIT)):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if "/tree/" in path:
            return self._send(200, _json(_tree(hub)))
        if path.startswith("/api/models/"):
            listed = [{"rfilename": name} for name in hub.files]
            return self._send(200, _json({"id": "org/tiny", "sha": COMMIT, "siblings": listed}))
        return self._send_file(hub, path.rsplit("/", 1)[-1])

    def _send_file(self, hub: FakeHub, name: str) -> None:
        if name not in hub.files:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            hub.fetched.append(name)
        content = hub.files[name]
        return self._send(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _tree(hub: FakeHub) -> list[dict[str, str | int]]:
    return [
        {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
        for name, content in hub.files.items()
    ]


def test_a_hub_that_cannot_be_reached_names_three_ways_out_within_seconds(tmp_path: Path) -> None:
    started = time.monotonic()

    answer = ask(tmp_path, NO_HUB, "gpt2")

    assert time.monotonic() - started < 5.0
    assert answer["exit_code"] == 9
    assert "gpt2" in answer["message"]
    assert "cannot be reached" in answer["message"]
    for way_out in ("smollm2-135m", "local model folder", "HF_ENDPOINT"):
        assert way_out in answer["fix"]


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up_within_half_a_minute(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()

        answer = ask(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", "gpt2")

    assert time.monotonic() - started < 30.0
    assert answer["exit_code"] == 9


def test_an_unknown_model_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    answer = ask(tmp_path, hub.url, "org/unknown")

    assert answer["exit_code"] == 4
    assert "unknown model 'org/unknown'" in answer["message"]


def test_a_name_that_no_hub_model_can_have_is_an_unknown_model(tmp_path: Path) -> None:
    answer = ask(tmp_path, NO_HUB, "not a model!")

    assert answer["exit_code"] == 4
    assert "unknown model 'not a model!'" in answer["message"]


def test_a_gated_model_asks_for_the_licence(hub: FakeHub, tmp_path: Path) -> None:
    answer = ask(tmp_path, hub.url, "org/gated")

    assert answer["exit_code"] == 9
    assert "HF_TOKEN" in answer["fix"]


def test_an_unknown_revision_is_named(hub: FakeHub, tmp_path: Path) -> None:
    answer = ask(tmp_path, hub.url, "org/tiny", revision="v9")

    assert answer["exit_code"] == 4
    assert "no revision 'v9'" in answer["message"]
    assert "fine_tuning.revision" in answer["fix"]


def test_a_hub_that_fails_counts_as_not_reachable(hub: FakeHub, tmp_path: Path) -> None:
    answer = ask(tmp_path, hub.url, "org/broken")

    assert answer["exit_code"] == 9


def test_a_download_takes_safetensors_and_json_and_leaves_pickles_and_code(
    hub: FakeHub, tmp_path: Path, tiny_llama_dir: Path
) -> None:
    answer = ask(tmp_path, hub.url, "org/tiny")

    expected = sorted(path.name for path in tiny_llama_dir.iterdir())
    folder = Path(answer["folder"])
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert sorted(hub.fetched) == expected
    weights = "model.safetensors"
    assert (folder / weights).read_bytes() == (tiny_llama_dir / weights).read_bytes()


def test_a_tokenizer_is_downloaded_without_the_weights(hub: FakeHub, tmp_path: Path) -> None:
    ask(tmp_path, hub.url, "org/tiny", with_weights=False)

    assert "tokenizer.json" in hub.fetched
    assert "model.safetensors" not in hub.fetched


def test_a_downloaded_model_is_used_when_the_hub_is_down(hub: FakeHub, tmp_path: Path) -> None:
    first = ask(tmp_path, hub.url, "org/tiny")

    assert ask(tmp_path, NO_HUB, "org/tiny") == first


def test_a_model_whose_tokenizer_alone_was_downloaded_is_not_whole(
    hub: FakeHub, tmp_path: Path
) -> None:
    ask(tmp_path, hub.url, "org/tiny", with_weights=False)

    answer = ask(tmp_path, NO_HUB, "org/tiny")

    assert answer["exit_code"] == 9
    assert "not (whole) on this machine" in answer["message"]


def test_a_download_that_breaks_off_is_an_error_and_goes_on_the_next_time(
    hub: FakeHub, tmp_path: Path
) -> None:
    whole = dict(hub.files)
    hub.refusals["model.safetensors"] = (404, "EntryNotFound")

    broken = ask(tmp_path, hub.url, "org/tiny")
    del hub.refusals["model.safetensors"]
    answer = ask(tmp_path, hub.url, "org/tiny")

    assert broken["exit_code"] == 9
    found = Path(answer["folder"]) / "model.safetensors"
    assert found.read_bytes() == whole["model.safetensors"]
