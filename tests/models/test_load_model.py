"""Loading models: what is read, what is never read, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from gemtune.config.schema import FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.load import (
    LoadedModel,
    load_base_model,
    load_model_for_generation,
    load_tokenizer,
)

CopyOf = Callable[[Path], Path]
TOKENS = torch.tensor([[69, 70, 265, 203, 80]])
CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"


def load(folder: Path) -> LoadedModel:
    return load_model_for_generation(folder, revision=None, precision="fp32")


def load_base(folder: Path) -> PreTrainedModel:
    return load_base_model(FineTuningConfig(model=str(folder)), torch.float32, CPU)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS).logits


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}))


def test_a_base_model_is_loaded_in_the_number_format_asked_for(tiny_model_dir: Path) -> None:
    config = FineTuningConfig(model=str(tiny_model_dir))

    model = load_base_model(config, torch.bfloat16, CPU)

    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_model_for_generation_has_the_logits_of_transformers(tiny_model_dir: Path) -> None:
    expected = logits(AutoModelForCausalLM.from_pretrained(str(tiny_model_dir)))

    loaded = load(tiny_model_dir)

    torch.testing.assert_close(logits(loaded.model), expected, rtol=0, atol=0)
    assert not loaded.model.training
    assert loaded.dtype_name == "fp32"
    assert loaded.data_config is None


def test_loading_shows_nothing_on_the_terminal(
    tiny_llama_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(tiny_llama_dir)

    assert capfd.readouterr() == ("", "")


def test_stop_tokens_are_those_of_template_tokenizer_and_model(
    tiny_llama_dir: Path, copy_of: CopyOf
) -> None:
    folder = copy_of(tiny_llama_dir)
    GenerationConfig(eos_token_id=[2, 99]).save_pretrained(folder)

    loaded = load(folder)

    turn_end = loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert loaded.stop_token_ids == (turn_end, loaded.tokenizer.eos_token_id, 99)


def test_a_tokenizer_without_pad_token_pads_with_a_stop_token(tiny_gpt2_dir: Path) -> None:
    loaded = load(tiny_gpt2_dir)

    assert loaded.tokenizer.pad_token_id is None
    assert loaded.pad_token_id == loaded.tokenizer.eos_token_id


def test_pickled_weights_are_not_opened_beside_safetensors(
    tiny_llama_dir: Path, copy_of: CopyOf, canary: Path, pickle_trap: bytes
) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / "pytorch_model.bin").write_bytes(pickle_trap)

    load(folder)

    assert not canary.exists()


def test_a_folder_with_pickled_weights_alone_is_refused(
    tiny_llama_dir: Path, copy_of: CopyOf, canary: Path, pickle_trap: bytes
) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle_trap)

    with pytest.raises(ArtefactError, match="cannot be read") as caught:
        load(folder)

    assert caught.value.exit_code == 4
    assert "safetensors" in caught.value.fix
    assert not canary.exists()


@pytest.mark.parametrize(
    "change", [{"hidden_act": "sila"}, {"rope_parameters": {"rope_type": "def]ault"}}], ids=range(2)
)
def test_a_config_with_a_word_that_transformers_does_not_know_is_refused(
    tiny_llama_dir: Path, copy_of: CopyOf, change: dict[str, object]
) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "config.json", **change)

    with pytest.raises(ArtefactError, match=r"cannot be read: .*(sila|def\]ault)"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_size": 4096, "intermediate_size": 11_008}, r"\d+,\d+,\d+ weights for \d+"),
        ({"num_hidden_layers": 3_000_000}, "more layers than the"),
    ],
    ids=["wide", "deep"],
)
def test_a_config_of_a_larger_model_is_refused_before_anything_is_made(
    tiny_llama_dir: Path,
    copy_of: CopyOf,
    change: dict[str, object],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "config.json", **change)

    def fill_nothing(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        assert tensor.is_meta, "random weights were made"
        return tensor

    monkeypatch.setattr("torch.nn.init.normal_", fill_nothing)
    with pytest.raises(ArtefactError, match=told):
        load(folder)


@pytest.fixture
def folder_with_code(
    tiny_llama_dir: Path, copy_of: CopyOf, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A model that wants its own Python file to be run."""

    def nobody_answers(prompt: str = "") -> str:
        raise AssertionError(f"a question was asked: {prompt}")

    monkeypatch.setattr("builtins.input", nobody_answers)
    folder = copy_of(tiny_llama_dir)
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    classes = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change_json(folder / "config.json", auto_map=classes)
    change_json(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}
    )
    return folder


def test_code_of_a_checkpoint_is_not_run_for_a_known_architecture(
    folder_with_code: Path, canary: Path
) -> None:
    loaded = load(folder_with_code)

    assert type(loaded.model).__module__.startswith("transformers.")
    assert not canary.exists()


def test_a_model_that_needs_its_own_code_is_refused(folder_with_code: Path, canary: Path) -> None:
    change_json(folder_with_code / "config.json", model_type="evil")

    with pytest.raises(ArtefactError, match="cannot be read"):
        load(folder_with_code)

    assert not canary.exists()


def test_missing_weights_are_an_error_and_not_random_numbers(
    tiny_llama_dir: Path, copy_of: CopyOf
) -> None:
    folder = copy_of(tiny_llama_dir)
    name = "model.layers.1.mlp.up_proj.weight"
    weights = load_file(folder / WEIGHTS)
    del weights[name]
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    with pytest.raises(ArtefactError, match=f"1 weights are missing .*{name}"):
        load_base(folder)


def test_weights_of_another_shape_are_an_error(tiny_llama_dir: Path, copy_of: CopyOf) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "config.json", intermediate_size=48)

    with pytest.raises(ArtefactError, match="6 weights are missing or have another shape"):
        load_base(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 5, b"\xff" * 64])
def test_damaged_weights_are_refused(tiny_llama_dir: Path, copy_of: CopyOf, content: bytes) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / WEIGHTS).write_bytes(content)

    with pytest.raises(ArtefactError, match="cannot be read"):
        load_base(folder)


def test_cut_weights_are_refused(tiny_llama_dir: Path, copy_of: CopyOf) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])

    with pytest.raises(ArtefactError, match="cannot be read"):
        load_base(folder)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"version": "1.0", "model": 3}'])
def test_a_damaged_tokenizer_is_refused(
    tiny_llama_dir: Path, copy_of: CopyOf, content: str
) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / "tokenizer.json").write_text(content)

    with pytest.raises(ArtefactError, match=f"tokenizer in {folder} cannot be read"):
        load_tokenizer(FineTuningConfig(model=str(folder)))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "llama", "hidden_size": "x"}'])
def test_a_damaged_config_is_refused(tiny_llama_dir: Path, copy_of: CopyOf, content: str) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / "config.json").write_text(content)

    with pytest.raises(ArtefactError):
        load(folder)


def test_a_tokenizer_without_end_of_text_is_refused(tiny_llama_dir: Path, copy_of: CopyOf) -> None:
    folder = copy_of(tiny_llama_dir)
    change_json(folder / "tokenizer_config.json", eos_token=None)

    with pytest.raises(ArtefactError, match="no end-of-text token"):
        load_tokenizer(FineTuningConfig(model=str(folder)))


def test_a_tokenizer_is_loaded_without_the_weights(tiny_llama_dir: Path, copy_of: CopyOf) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / WEIGHTS).unlink()

    tokenizer = load_tokenizer(FineTuningConfig(model=str(folder)))

    assert tokenizer.eos_token == "<|endoftext|>"


def test_a_quantized_model_that_takes_another_package_names_it(
    tiny_llama_dir: Path, copy_of: CopyOf
) -> None:
    folder = copy_of(tiny_llama_dir)
    quantization = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    change_json(folder / "config.json", quantization_config=quantization)

    with pytest.raises(ArtefactError, match=r"cannot be read: Loading a GPTQ .*pip install"):
        load_base(folder)
