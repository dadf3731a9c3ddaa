"""P31: an address in the place of data, a model or a config is refused, and nothing is fetched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gemtune.errors import ArtefactError
from gemtune.models.source import find_source

ROOT = Path(__file__).resolve().parents[2]
# Forms that get around checks which look for "http" or for names of hosts.
ADDRESSES = [
    "http://127.0.0.1:9/train.jsonl",
    "https://example.org/train.jsonl",
    "HTTP://127.0.0.1:9/x",
    "http://169.254.169.254/computeMetadata/v1/",
    "http://metadata.google.internal/",
    "http://2130706433:9/x",
    "http://[::ffff:127.0.0.1]:9/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:9/x",
    "ftp://127.0.0.1:9/x",
    "s3://bucket/train.jsonl",
    "//127.0.0.1/share/train.jsonl",
]
# A process of its own, because an audit hook cannot be taken away again.
PROGRAM = """
import json, sys
from gemtune.cli.app import run

touched = []

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        touched.append([event, str(arguments[1:] or arguments)])

sys.addaudithook(note)
answers = []
for words in json.loads(sys.argv[1]):
    before = len(touched)
    answers.append([words, run(words), touched[before:]])
print(json.dumps(answers))
"""


def test_no_address_is_fetched_by_any_command(tiny_llama_dir: Path, tmp_path: Path) -> None:
    rows = tmp_path / "test.jsonl"
    rows.write_text('{"input_text": "a", "output_text": "b"}\n')
    (tmp_path / "train.jsonl").write_text(rows.read_text())
    model = f"fine_tuning.model={tiny_llama_dir}"
    first = ADDRESSES[0]
    expected = [
        *[(["data", "check", place, "--no-tokens"], 3) for place in ADDRESSES],
        # What ends in .jsonl is read as a file of predictions, and there is none.
        *[
            (["evaluate", place, str(rows)], 2 if place.endswith(".jsonl") else 4)
            for place in ADDRESSES
        ],
        (["data", "convert", first, str(tmp_path / "o"), "--to", "messages"], 3),
        (["finetune", first, str(tmp_path / "out"), model], 3),
        (["evaluate", str(tiny_llama_dir), first], 3),
        (["compare", first, str(tiny_llama_dir), str(rows)], 2),
        (["data", "check", str(tmp_path), f"fine_tuning.model={first}"], 4),
        (["config", "check", first], 2),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "PYTHONPATH": "src"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([words for words, _ in expected])],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers == [[words, code, []] for words, code in expected]


@pytest.mark.parametrize("address", [place for place in ADDRESSES if "://" in place])
def test_an_address_of_a_model_is_told_from_a_missing_folder(address: str) -> None:
    with pytest.raises(ArtefactError, match="is a URL, and nothing is downloaded from addresses"):
        find_source(address)


@pytest.mark.parametrize("name", ["http", "urllib.request", "requests", "fsspec"])
def test_nothing_that_fetches_addresses_is_loaded_with_the_data_room(name: str) -> None:
    code = f"import sys, gemtune.data.check, gemtune.data.load\nassert {name!r} not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": "src"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, timeout=60)
