"""P30: names inside configs, models, manifests and data never become paths outside their folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gemtune.cli.app import run
from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.gguf import converted_folder
from gemtune.models.hub import hub_folder
from gemtune.models.load import load_model_for_generation, load_tokenizer
from gemtune.runs.manifest import find_damage

CopyOf = Callable[[Path], Path]
SaveAdapter = Callable[[Path, DataConfig], Path]
LEADING_OUT = [
    "../outside.safetensors",
    "sub/../../outside.safetensors",
    "..\\outside.safetensors/../../outside.safetensors",
    "/etc/passwd",
    "./model.safetensors/../../outside.safetensors",
    "..",
    ".",
    "",
    "a" * 300 + "/x",
    "nul\0byte/x",
    7,
    None,
]


def change_json(path: Path, **changes: object) -> None:
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**before, **changes}))


@pytest.mark.parametrize("name", LEADING_OUT)
def test_an_index_of_weights_does_not_lead_out_of_the_model_folder(
    tiny_llama_dir: Path, copy_of: CopyOf, name: object
) -> None:
    folder = copy_of(tiny_llama_dir)
    weights = folder / "model.safetensors"
    names = dict.fromkeys(load_file(weights), name)
    weights.rename(folder.parent / "outside.safetensors")
    change_json(folder / "model.safetensors.index.json", metadata={}, weight_map=names)

    with pytest.raises(ArtefactError, match="does not lie in the model's folder"):
        load_model_for_generation(folder, revision=None, precision="fp32")


def test_an_index_with_plain_names_is_followed(tiny_llama_dir: Path, copy_of: CopyOf) -> None:
    folder = copy_of(tiny_llama_dir)
    shard = "model-00001-of-00001.safetensors"
    names = dict.fromkeys(load_file(folder / "model.safetensors"), shard)
    (folder / "model.safetensors").rename(folder / shard)
    change_json(folder / "model.safetensors.index.json", metadata={}, weight_map=names)

    assert load_model_for_generation(folder, revision=None, precision="fp32").model


def test_a_tokenizer_config_does_not_name_files_elsewhere(
    tiny_llama_dir: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    folder = copy_of(tiny_llama_dir)
    outside = tmp_path / "outside"
    os.mkfifo(outside)
    files = ("tokenizer_file", "vocab_file", "merges_file", "chat_template_file")
    change_json(folder / "tokenizer_config.json", **dict.fromkeys(files, str(outside)))

    # Opening the pipe would wait for ever.
    assert load_tokenizer(FineTuningConfig(model=str(folder))).eos_token_id is not None


@pytest.mark.parametrize(
    ("base", "exit_code"),
    [
        ("../outside", 4),
        ("..\\outside\\model", 4),
        ("%2e%2e/outside", 4),
        ("org/..%2foutside", 4),
        ("org/../../outside", 4),
        ("/etc/passwd", 4),
        ("/dev/zero", 4),
        ("file:///etc/passwd", 4),
        ("nul\0byte", 4),
        ("a" * 300, 2),
        ("~nobody-of-that-name/model", 4),
    ],
)
def test_the_base_that_an_adapter_names_is_found_or_refused(
    tiny_llama_dir: Path,
    save_adapter: SaveAdapter,
    tmp_path: Path,
    base: str,
    exit_code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save_adapter(tiny_llama_dir, DataConfig())
    change_json(folder / "gemtune.json", base_model=base)
    (tmp_path / "test.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n')
    before = names_below(tmp_path)

    assert run(["evaluate", str(folder), str(tmp_path / "test.jsonl")]) == exit_code

    assert "this is a bug" not in capsys.readouterr().err
    assert names_below(tmp_path) == before


def names_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("revision", ["../../../../../secret", "/etc/passwd", "a/../../b", ".", ""])
def test_a_revision_does_not_lead_out_of_the_hubs_cache(revision: str) -> None:
    with pytest.raises(ArtefactError, match="is no name of a revision"):
        hub_folder("gpt2", revision, with_weights=True)


@pytest.mark.parametrize("stem", ["a" * 240, "\u00e9\u4e2d" * 20, "..", "-rf ~; $(x)", "a\nb"])
def test_the_name_of_a_gguf_file_stays_one_folder_of_the_cache(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str
) -> None:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / f"{stem}.gguf"
    path.write_bytes(tiny_gguf.read_bytes())

    folder = converted_folder(path)

    assert folder.parent == tmp_path / "cache" / "models"
    assert folder.name.isascii()


@pytest.mark.parametrize("name", ["../outside", "ABSOLUTE", "sub/../../outside"])
def test_a_manifest_does_not_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    os.mkfifo(outside)
    folder = tmp_path / "run"
    folder.mkdir()
    listed = str(outside) if name == "ABSOLUTE" else name
    entry = {"bytes": 1, "sha256": "0" * 64}
    change_json(folder / "manifest.json", version=1, files={listed: entry})

    # Opening the pipe would wait for ever.
    [damage] = find_damage(folder)

    assert damage


def test_a_link_in_a_run_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    os.mkfifo(outside)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "weights").symlink_to(outside)
    entry = {"bytes": 1, "sha256": "0" * 64}
    change_json(folder / "manifest.json", version=1, files={"weights": entry})

    assert find_damage(folder) != []


def test_names_in_data_and_config_do_not_become_files(
    tiny_llama_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "in" / "data", tmp_path / "in" / "out"
    data.mkdir(parents=True)
    row = {"id": "../../../escape", "input_text": "../../escape", "output_text": "/tmp/escape"}
    for name in ("train.jsonl", "test.jsonl"):
        (data / name).write_text(json.dumps(row) + "\n")
    settings = [
        f"fine_tuning.model={tiny_llama_dir}",
        "fine_tuning.training.max_steps=1",
        "project.name=../../escape",
    ]

    assert run(["finetune", str(data), str(out), *settings]) == 0
    scored = ["evaluate", str(out), str(data / "test.jsonl"), "evaluation.max_new_tokens=2"]
    assert run([*scored, "--output-dir", str(out / "scores")]) == 0

    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"data", "out"}
    assert not [name for name in names_below(out) if "escape" in name]
