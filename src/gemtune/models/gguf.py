"""GGUF files: converted once into a safetensors folder that everything else can load."""

import hashlib
import io
import logging
import struct
from contextlib import redirect_stderr
from pathlib import Path
from typing import cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from gemtune.errors import ArtefactError
from gemtune.models.cache import cached_folder
from gemtune.models.quiet import quiet_transformers

logger = logging.getLogger(__name__)

GGUF_MAGIC = b"GGUF"
# Raised when the conversion changes what it writes, so that old cache entries are not used.
_CONVERSION_VERSION = 1
# Set by transformers while it reads the file; they would mark the plain copy as quantized.
_SOURCE_ONLY_KEYS = ("quantization_config", "dtype", "transformers_version", "_name_or_path")
# What the reader of transformers raises for a cut or foreign file; it has no error of its own.
_DAMAGED = (ValueError, KeyError, IndexError, OSError, NotImplementedError, struct.error)


def converted_folder(gguf_path: Path) -> Path:
    """The cached safetensors folder with the dequantized fp32 weights of `gguf_path`.

    Raises:
        ArtefactError: the file is not GGUF or lacks weights, or transformers cannot read its
            architecture.
    """
    with gguf_path.open("rb") as file:
        if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise ArtefactError(
                f"{gguf_path} is not a GGUF file (it does not begin with 'GGUF')",
                fix="check the download, or name a model folder",
            )
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    key = f"{gguf_path.stem}-{digest[:16]}-v{_CONVERSION_VERSION}"
    return cached_folder(key, lambda folder: _convert(gguf_path, folder))


def _convert(gguf_path: Path, folder: Path) -> None:
    logger.info("converting %s once (half a minute for 135M parameters)", gguf_path.name)
    source = {
        "pretrained_model_name_or_path": str(gguf_path.parent),
        "gguf_file": gguf_path.name,
    }
    try:
        # The bar of the conversion asks no setting; it goes to stderr.
        with quiet_transformers(), redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model, report = AutoModelForCausalLM.from_pretrained(
                **source, dtype=torch.float32, output_loading_info=True
            )
    except _DAMAGED as error:
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
