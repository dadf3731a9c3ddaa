"""The machine and the versions that a result was made with."""

import os
import platform
from importlib import metadata
from typing import Any

_PACKAGES = (
    "gemtune",
    "numpy",
    "peft",
    "rouge-score",
    "sacrebleu",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def describe_environment() -> dict[str, Any]:
    """Python, platform, CPU count, and the version of every package that can move a number."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    """The installed version; None for what is not there, such as torch on a light machine."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
