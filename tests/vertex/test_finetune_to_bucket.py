"""A run whose home is a bucket: stopped here, it goes on elsewhere, and nothing of it changes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vertex.fake_storage import FakeStorage

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.errors import ArtefactError, PrerequisiteError, UsageError
from gemtune.fine_tuning.train import finetune_model
from gemtune.runs.checkpoints import list_checkpoints
from gemtune.vertex.finetune import finetune_to_bucket
from gemtune.vertex.work_folder import default_work_dir

URL = "gs://shelf/runs/one"
SETTINGS = (
    "fine_tuning.lora.r=4",
    "fine_tuning.lora.dropout=0.1",
    "fine_tuning.training.precision=fp32",
    "fine_tuning.training.batch_size=4",
    "fine_tuning.training.gradient_accumulation_steps=1",
    "fine_tuning.training.max_steps=8",
    "fine_tuning.training.eval_every_steps=4",
    "fine_tuning.training.save_every_steps=2",
    "monitoring.tensorboard=false",
)
PUBLISHED = ("adapter_model.safetensors", "metrics.jsonl")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [
        json.dumps({"input_text": f"colour {i}?", "output_text": ("red", "green")[i % 2]})
        for i in range(24)
    ]
    (folder / "train.jsonl").write_text("\n".join(rows[:20]) + "\n")
    (folder / "val.jsonl").write_text("\n".join(rows[20:]) + "\n")
    return folder


@pytest.fixture(scope="module")
def words(tiny_llama_dir: Path) -> tuple[str, ...]:
    return (f"fine_tuning.model={tiny_llama_dir}", *SETTINGS)


@pytest.fixture(scope="module")
def config(words: tuple[str, ...]) -> Config:
    return load_config((), words)


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, data_dir: Path, config: Config
) -> dict[str, bytes]:
    """What a run gives that nobody disturbs, in a plain folder."""
    out = tmp_path_factory.mktemp("unbroken") / "out"
    finetune_model(data_dir, out, config)
    return {name: (out / name).read_bytes() for name in PUBLISHED}


def published(storage: FakeStorage) -> dict[str, bytes]:
    return {name: storage.objects[f"runs/one/{name}"].content for name in PUBLISHED}


def at_checkpoint(step: int, act: Callable[[], None]) -> Callable[[str], None]:
    """Act once, when the manifest of that step has arrived."""
    done: list[str] = []

    def look(name: str) -> None:
        if not done and f"step-{step:08d}" in name and name.endswith("manifest.json"):
            done.append(name)
            act()

    return look


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_run_stopped_here_goes_on_elsewhere_bit_for_bit(
    storage: FakeStorage,
    data_dir: Path,
    config: Config,
    unbroken: dict[str, bytes],
    tmp_path: Path,
) -> None:
    storage.on_stored = at_checkpoint(4, interrupt)
    with pytest.raises(KeyboardInterrupt):
        finetune_to_bucket(data_dir, URL, config, work_dir=tmp_path / "one")
    assert "runs/one/manifest.json" not in storage.objects
    stopped_at = list_checkpoints(tmp_path / "one" / "checkpoints")[0].step
    newest = f"runs/one/checkpoints/step-{stopped_at:08d}"
    assert any(name.endswith("manifest.json") for name in storage.names(newest))
    assert json.loads(storage.objects["runs/one/run.json"].content)["status"] == "stopped"
    # As if the first machine had been cut off before the last checkpoint had arrived.
    for name in storage.names(newest):
        if name.endswith("manifest.json"):
            del storage.objects[name]
    result = finetune_to_bucket(data_dir, URL, config, work_dir=tmp_path / "two")
    assert not result.was_done
    assert published(storage) == unbroken
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert [event["event"] for event in record["events"]] == ["resumed"]
    assert record["events"][0]["step"] < stopped_at

    third = finetune_to_bucket(data_dir, URL, config, work_dir=tmp_path / "three")
    assert third.was_done
    assert (tmp_path / "three" / "adapter_model.safetensors").read_bytes() == unbroken[PUBLISHED[0]]
    assert "runs/one/run.lease" not in storage.objects


def test_overwrite_starts_over_in_both_places(
    storage: FakeStorage, data_dir: Path, config: Config, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    storage.put("runs/one/run.json", b"{}", {"gemtune-run": "another"})
    storage.put("runs/one/checkpoints/step-00000099/old/manifest.json", b"{}")
    finetune_to_bucket(data_dir, URL, config, work_dir=tmp_path / "one", overwrite=True)
    assert published(storage) == unbroken
    steps = {name.split("/")[3] for name in storage.names("runs/one/checkpoints/")}
    kept = list_checkpoints(tmp_path / "one" / "checkpoints")
    assert steps == {checkpoint.folder.name for checkpoint in kept}


def test_sigterm_ends_with_75_and_everything_in_the_bucket(
    storage: FakeStorage,
    data_dir: Path,
    words: tuple[str, ...],
    config: Config,
    unbroken: dict[str, bytes],
) -> None:
    work_dir = default_work_dir(URL)
    command = [sys.executable, "-m", "gemtune", "finetune", str(data_dir), URL, *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "src"}
    )
    storage.on_stored = at_checkpoint(2, process.terminate)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 75, told
    newest = list_checkpoints(work_dir / "checkpoints")[0]
    names = storage.names(f"runs/one/checkpoints/{newest.folder.name}")
    assert any(name.endswith("manifest.json") for name in names)
    assert "runs/one/run.lease" not in storage.objects
    finetune_to_bucket(data_dir, URL, config)
    assert published(storage) == unbroken


@pytest.mark.parametrize(
    "url",
    ["gs://shelf", "gs://shelf/", "gs://shelf/../x", "gs://shelf/a//b", "gs://shelf/a*", "gs:/x/y"],
)
def test_a_url_that_names_no_folder_is_refused(url: str, data_dir: Path) -> None:
    with pytest.raises(UsageError, match="names no folder in a bucket"):
        finetune_to_bucket(data_dir, url)


def test_a_url_for_the_function_that_trains_in_folders_is_refused(
    data_dir: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        finetune_model(data_dir, URL, config)
    assert "finetune_to_bucket" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_work_folder_of_another_bucket_is_refused(
    storage: FakeStorage, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "bucket.json").write_text('{"url": "gs://other/run", "holder": "", "run": ""}')
    with pytest.raises(UsageError, match="work folder of gs://other/run"):
        finetune_to_bucket(data_dir, URL, work_dir=tmp_path)


def test_a_damaged_work_folder_is_told(
    storage: FakeStorage, data_dir: Path, tmp_path: Path
) -> None:
    for text in ("", "[]", '{"url": 1}'):
        (tmp_path / "bucket.json").write_text(text)
        with pytest.raises(ArtefactError, match=r"bucket.json is damaged"):
            finetune_to_bucket(data_dir, URL, work_dir=tmp_path)


def test_a_machine_without_credentials_is_told_how_to_get_them(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("CLOUDSDK_CONFIG", str(tmp_path)),
        ("NO_GCE_CHECK", "true"),
        ("GOOGLE_APPLICATION_CREDENTIALS", ""),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    started = time.monotonic()
    with pytest.raises(PrerequisiteError) as caught:
        finetune_to_bucket(data_dir, URL, work_dir=tmp_path / "work")
    assert caught.value.exit_code == 9
    assert caught.value.fix == "gcloud auth application-default login"
    assert time.monotonic() - started < 10


def test_a_missing_extra_is_named_with_the_pip_line(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gemtune.cli.app import run

    for name in [name for name in sys.modules if name.startswith("gemtune.vertex")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    assert run(["finetune", str(data_dir), URL]) == 9
    assert "pip install 'gemtune[vertex]'" in capsys.readouterr().err


def test_a_work_dir_without_a_bucket_is_refused(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gemtune.cli.app import run

    assert run(["finetune", str(data_dir), str(tmp_path), "--work-dir", str(tmp_path)]) == 2
    assert "--work-dir is for runs in a bucket" in capsys.readouterr().err
