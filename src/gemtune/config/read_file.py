"""Get the text of a config file, or say in one sentence why that is not possible."""

from difflib import get_close_matches
from pathlib import Path

from gemtune.config.origins import Layer, Origin, Problem
from gemtune.config.read_yaml import read_file_text

MAX_BYTES = 1 << 20

_SUFFIXES = {".yaml", ".yml", ".json"}


def read_file(path: Path, layer: int) -> Layer:
    """Read one YAML or JSON file; what is wrong with it stands in the layer's problems."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _unreadable(path, layer, _explain_failure(path, error))
    if len(content) > MAX_BYTES:
        return _unreadable(path, layer, f"over {MAX_BYTES:,} bytes; no config is that long")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        message = f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        return _unreadable(path, layer, message, line)
    return read_file_text(text, str(path), layer)


def _unreadable(path: Path, layer: int, message: str, line: int | None = None) -> Layer:
    label = f"{path}:{line}" if line else str(path)
    return Layer({}, {}, (Problem(Origin(layer, line or 0, label), message),))


def _explain_failure(path: Path, error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        names = _config_names(path)
        inside = f"; in it: {', '.join(names[:5])}" if names else ""
        return f"this is a folder, not a config file{inside}"
    if not isinstance(error, FileNotFoundError):
        return f"cannot be read: {error.strerror}"
    if not path.parent.is_dir():
        return f"no such file; the folder {path.parent} does not exist"
    near = get_close_matches(path.name, _config_names(path.parent), n=1, cutoff=0.4)
    return "no such file" + (f"; did you mean {str(path.parent / near[0])!r}?" if near else "")


def _config_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix in _SUFFIXES)
