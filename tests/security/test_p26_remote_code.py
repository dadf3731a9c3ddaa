"""P26: code that comes with a model is never run, imported or asked about."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gemtune.cli.app import run
from gemtune.config.schema import DataConfig
from gemtune.errors import ArtefactError
from gemtune.models.gguf import converted_folder
from gemtune.models.load import load_model_for_generation
from gemtune.models.untrusted import check_model_folder

CopyOf = Callable[[Path], Path]
SaveAdapter = Callable[[Path, DataConfig], Path]
AUTO_MAP = {
    "AutoConfig": "evil.Config",
    "AutoModelForCausalLM": "evil.Model",
    "AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"],
}
ROW = json.dumps({"input_text": "hi", "output_text": "yes"}) + "\n"


class Stdin(io.StringIO):
    """What somebody types, and whether it was read."""

    was_read = False

    def readline(self, *sizes: int) -> str:
        """Note it."""
        self.was_read = True
        return super().readline(*sizes)


@pytest.fixture(params=["y\n", "", None], ids=["yes", "nothing", "closed"])
def stdin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stdin:
    """Standard input that says yes, says nothing, or is closed."""
    stream = Stdin(request.param or "")
    if request.param is None:
        stream.close()
    monkeypatch.setattr(sys, "stdin", stream)
    return stream


def change_json(path: Path, **changes: object) -> None:
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**before, **changes}))


def bring_code(folder: Path, canary: Path) -> None:
    """Let a model folder ask for its own classes."""
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    change_json(folder / "config.json", auto_map=AUTO_MAP, model_type="evil")
    change_json(folder / "tokenizer_config.json", auto_map=AUTO_MAP, tokenizer_class="Evil")


@pytest.mark.parametrize("command", ["evaluate", "check", "finetune"])
def test_a_model_that_brings_code_ends_every_command_with_exit_code_4(
    command: str,
    tiny_llama_dir: Path,
    copy_of: CopyOf,
    canary: Path,
    stdin: Stdin,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copy_of(tiny_llama_dir)
    bring_code(folder, canary)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(ROW)
    words = {
        "evaluate": ["evaluate", str(folder), str(tmp_path / "data" / "train.jsonl")],
        "check": ["data", "check", str(tmp_path / "data"), f"fine_tuning.model={folder}"],
        "finetune": [
            "finetune", str(tmp_path / "data"), str(tmp_path / "out"),
            f"fine_tuning.model={folder}",
        ],
    }  # fmt: skip

    assert run(words[command]) == 4

    assert not canary.exists()
    assert not stdin.was_read
    assert "[y/N]" not in "".join(capsys.readouterr())


def test_code_beside_a_gguf_file_is_not_run(
    tiny_gguf: Path, tmp_path: Path, canary: Path, stdin: Stdin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "download"
    folder.mkdir()
    bring_code(folder, canary)
    (folder / "chat_template.jinja").write_text("a template of somebody else")
    (folder / "model.gguf").write_bytes(tiny_gguf.read_bytes())

    converted = converted_folder(folder / "model.gguf")

    assert not canary.exists()
    assert not stdin.was_read
    assert (converted / "chat_template.jinja").read_text("utf-8").startswith("{% for message in")


def test_the_code_of_a_known_architecture_is_that_of_transformers(
    tiny_llama_dir: Path, copy_of: CopyOf, canary: Path, stdin: Stdin
) -> None:
    folder = copy_of(tiny_llama_dir)
    bring_code(folder, canary)
    change_json(folder / "config.json", model_type="llama")
    change_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")

    loaded = load_model_for_generation(folder, revision=None, precision="fp32")

    assert type(loaded.model).__module__.startswith("transformers.")
    assert not canary.exists()
    assert not stdin.was_read


def test_a_module_that_an_adapter_names_is_not_imported(
    tiny_llama_dir: Path,
    save_adapter: SaveAdapter,
    tmp_path: Path,
    canary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PEFT imports `megatron_core`, and `python -m` looks for modules where it was started."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = save_adapter(tiny_llama_dir, DataConfig())
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    settings = {"megatron_config": {"tp": 1}, "megatron_core": f"{folder.name}.evil"}
    change_json(folder / "adapter_config.json", **settings)

    with pytest.raises(ArtefactError, match="makes PEFT import a module"):
        load_model_for_generation(folder, revision=None, precision="fp32")

    assert not canary.exists()


@pytest.mark.parametrize("kind", ["XLORA", "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", None, 7])
def test_kinds_of_adapters_that_load_other_files_are_refused(
    tiny_llama_dir: Path, save_adapter: SaveAdapter, kind: object
) -> None:
    folder = save_adapter(tiny_llama_dir, DataConfig())
    change_json(folder / "adapter_config.json", peft_type=kind)

    with pytest.raises(ArtefactError, match="an adapter of the kind") as caught:
        load_model_for_generation(folder, revision=None, precision="fp32")

    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "evil/kernel"},
        {"_attn_implementation": "kernels-community/flash-attn"},
        {"attn_implementation": {"": "sdpa", "text_config": "evil/kernel@main"}},
        {"text_config": {"attn_implementation": "evil/kernel"}},
        {"experts_implementation": "evil/kernel"},
    ],
)
def test_a_config_that_names_code_on_a_hub_is_refused(
    tiny_llama_dir: Path, copy_of: CopyOf, settings: dict[str, object]
) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "config.json", **settings)

    with pytest.raises(ArtefactError, match="code on a hub"):
        load_model_for_generation(folder, revision=None, precision="fp32")


def test_an_ordinary_choice_of_attention_code_is_accepted(
    tiny_llama_dir: Path, copy_of: CopyOf
) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "config.json", attn_implementation="eager")

    check_model_folder(folder)
