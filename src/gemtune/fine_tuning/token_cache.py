"""Rows that were turned into tokens before: read from the disk instead of done again.

A row is looked up by all that its tokens depend on: the messages themselves, the template, the
tokenizer as it was loaded, and the code. So no entry is ever wrong, only unused. The arrays are
mapped, not read: rows that no step asks for take no memory.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import DataConfig
from gemtune.data.examples import Example
from gemtune.errors import ConfigError, UsageError
from gemtune.fine_tuning import rows as rows_module
from gemtune.fine_tuning.rows import Row, encode_rows
from gemtune.models import template, template_process, template_program
from gemtune.models.cache import cache_dir, cached_folder
from gemtune.models.template import row_encoder
from gemtune.runs.manifest import find_damage, write_manifest
from gemtune.runs.run import file_digest

logger = logging.getLogger(__name__)

_ROOM = "tokens"
# Raised when the arrays below change.
_LAYOUT_VERSION = 1
_TOKEN_IDS, _TRAINED, _LENGTHS, _IS_CUT = ("token_ids", "trained", "lengths", "is_cut")
# Their content is a part of the key, so that nobody has to remember a number when they change.
_ENCODER_MODULES = (template, template_process, template_program, rows_module)
_ENCODER_PACKAGES = ("jinja2", "tokenizers", "transformers")
_UNUSED_SECONDS = 30 * 24 * 3600


def cached_rows(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: DataConfig
) -> list[Row]:
    """`encode_rows` with the memory of earlier runs.

    Examples have been checked when they come here, and rows that cannot be learned from are never
    kept: what is wrong with the data is told every time.

    Raises:
        DataError: an answer has no token left after the cut at `data.max_length`.
    """
    try:
        return _kept_rows(examples, tokenizer, config)
    except ConfigError:
        raise
    # A cache only saves time: a full or read-only disk, or one without locks, must not end a run.
    except (OSError, UsageError) as error:
        logger.warning("the tokens of the data are not kept for the next run: %s", error)
        return encode_rows(examples, row_encoder(tokenizer, config))


def _kept_rows(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: DataConfig
) -> list[Row]:
    room = cache_dir() / _ROOM
    # Tokens are the user's data in another spelling; nobody else is to read them.
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(examples, tokenizer, config)
    folder = cached_folder(
        key,
        lambda scratch: _write(scratch, encode_rows(examples, row_encoder(tokenizer, config))),
        room=_ROOM,
        is_whole=lambda entry: entry.exists() and not find_damage(entry),
    )
    # Last used now, whoever clears the room may ask.
    os.utime(folder)
    return _read(folder, examples)


def _key(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: DataConfig
) -> str:
    digest = hashlib.sha256()
    about = {
        "layout": _LAYOUT_VERSION,
        "code": [file_digest(Path(module.__file__)) for module in _ENCODER_MODULES],
        "packages": {name: metadata.version(name) for name in _ENCODER_PACKAGES},
        "settings": config.model_dump(mode="json"),
        "tokenizer": _describe_tokenizer(tokenizer),
    }
    digest.update(json.dumps(about, sort_keys=True, default=str).encode())
    for example in examples:
        turns = [(message.role, message.content) for message in example.messages]
        digest.update(json.dumps(turns).encode())
    return digest.hexdigest()


def _describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """All that is in the tokenizer's files, as it was understood; where they lie is no part."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    settings = {k: v for k, v in tokenizer.init_kwargs.items() if k != "name_or_path"}
    return {
        "class": type(tokenizer).__name__,
        "backend": backend.to_str() if backend else tokenizer.get_vocab(),
        "special_tokens": tokenizer.special_tokens_map,
        "chat_template": tokenizer.chat_template,
        "settings": settings,
    }


def _write(folder: Path, rows: Sequence[Row]) -> None:
    np.save(folder / _TOKEN_IDS, np.concatenate([row.token_ids for row in rows]))
    np.save(folder / _TRAINED, np.concatenate([row.trained for row in rows]))
    np.save(folder / _LENGTHS, np.array([len(row.token_ids) for row in rows]))
    np.save(folder / _IS_CUT, np.array([row.is_cut for row in rows]))
    write_manifest(folder)
    _remove_unused(folder.parent)


def _read(folder: Path, examples: Sequence[Example]) -> list[Row]:
    token_ids, trained = _map(folder, _TOKEN_IDS), _map(folder, _TRAINED)
    ends = _map(folder, _LENGTHS).cumsum().tolist()
    is_cut = _map(folder, _IS_CUT).tolist()
    return [
        Row(example.id, token_ids[start:end], trained[start:end], cut)
        for example, (start, end), cut in zip(examples, pairwise([0, *ends]), is_cut, strict=True)
    ]


def _map(folder: Path, name: str) -> npt.NDArray[Any]:
    """An array in a file, which cannot hold a pickle.

    Torch wants memory that may be written to; changes stay in memory.
    """
    return np.asarray(open_memmap(folder / f"{name}.npy", mode="c"))


def _remove_unused(room: Path) -> None:
    """Data that nobody has trained on for a month does not stay in a cache."""
    for entry in room.iterdir():
        if entry.is_dir() and time.time() - entry.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(entry)
