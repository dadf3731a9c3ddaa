"""GGUF files: converted once into a safetensors folder that everything else can load."""

import hashlib
import io
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from gemtune.errors import ArtefactError
from gemtune.models.cache import cached_folder
from gemtune.models.gguf_header import check_gguf_header
from gemtune.models.quiet import quiet_transformers

logger = logging.getLogger(__name__)

# A name from outside becomes a part of a path in the cache.
_NOT_PLAIN = re.compile(r"[^\w.-]", re.ASCII)
_MAX_NAME_CHARACTERS = 80
# Tied weights are in a file once and may be counted twice.
_MAX_GROWTH = 2
# Raised when the conversion changes what it writes, so that old cache entries are not used.
_CONVERSION_VERSION = 1
# Set by transformers while it reads the file; they would mark the plain copy as quantized.
_SOURCE_ONLY_KEYS = ("quantization_config", "dtype", "transformers_version", "_name_or_path")


def converted_folder(gguf_path: Path) -> Path:
    """The cached safetensors folder with the dequantized fp32 weights of `gguf_path`.

    Raises:
        ArtefactError: the file is not GGUF or lacks weights, or transformers cannot read its
            architecture.
    """
    with gguf_path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = _NOT_PLAIN.sub("_", gguf_path.stem)[:_MAX_NAME_CHARACTERS]
    key = f"{name}-{digest[:16]}-v{_CONVERSION_VERSION}"
    return cached_folder(key, lambda folder: _convert(gguf_path, folder))


def _convert(gguf_path: Path, folder: Path) -> None:
    n_values = check_gguf_header(gguf_path)
    logger.info("converting %s once (half a minute for 135M parameters)", gguf_path.name)
    try:
        # The bar of the conversion asks no setting; it goes to stderr.
        with _alone(gguf_path) as source, quiet_transformers(), redirect_stderr(io.StringIO()):
            _require_fitting_sizes(AutoConfig.from_pretrained(**source), n_values)
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model, report = AutoModelForCausalLM.from_pretrained(
                **source, dtype=torch.float32, output_loading_info=True
            )
    # The reader of transformers has no error of its own; a foreign file makes it raise anything.
    except Exception as error:
        raise ArtefactError(
            f"{gguf_path} cannot be read: {error}",
            fix="check the download, or use the model's safetensors folder",
        ) from error
    # transformers would fill these with random numbers and go on.
    if missing := sorted(report["missing_keys"]):
        raise ArtefactError(
            f"{gguf_path} is incomplete: {len(missing)} weights are missing ({missing[0]} is the "
            "first)",
            fix="a model in several GGUF files cannot be read: merge them, or use the model's "
            "safetensors folder",
        )
    # transformers refuses to save a model loaded from GGUF, so the weights move into a fresh one.
    settings = {k: v for k, v in model.config.to_dict().items() if k not in _SOURCE_ONLY_KEYS}
    with quiet_transformers():
        plain = AutoModelForCausalLM.from_config(
            type(model.config)(**settings), dtype=torch.float32
        )
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        plain.save_pretrained(folder)
        cast(PreTrainedTokenizerBase, tokenizer).save_pretrained(folder)


def _require_fitting_sizes(config: PretrainedConfig, n_values: int) -> None:
    """Refuse a header that promises more than the file holds: room for it would be made first."""
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)
    n_parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    if n_parameters > _MAX_GROWTH * n_values:
        raise ValueError(
            f"its settings describe {n_parameters:,} parameters, but it holds {n_values:,}"
        )


@contextmanager
def _alone(gguf_path: Path) -> Iterator[dict[str, Any]]:
    """What to load from: transformers would also take what lies beside the file, code included."""
    with tempfile.TemporaryDirectory(prefix="gemtune-gguf-") as folder:
        (Path(folder) / "model.gguf").symlink_to(gguf_path.resolve())
        yield {
            "pretrained_model_name_or_path": folder,
            "gguf_file": "model.gguf",
            "trust_remote_code": False,
        }
