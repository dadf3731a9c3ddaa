"""What can be wrong with files whose checksums agree: they were written wrong, or moved."""

from collections.abc import Iterable
from pathlib import Path

from gemtune.runs.manifest import STATE_FILE
from gemtune.runs.plain_files import read_plain_json
from gemtune.runs.tensors import find_not_finite


def step_name(step: int) -> str:
    """The name of the folder with the checkpoint of a step."""
    return f"step-{step:08d}"


def step_of(folder: Path) -> int | None:
    """The step that the name of a checkpoint folder tells; None for other folders."""
    digits = folder.name.removeprefix("step-")
    if not digits.isdecimal() or folder.name != step_name(int(digits)):
        return None
    return int(digits)


def find_bad_contents(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Look for weights that are not finite, and for the state of another step.

    Args:
        folder: A checkpoint or a published adapter.
        names: Look at these files only, instead of all that are directly in `folder`.

    Returns:
        What is wrong, a line a file, each beginning with the file's name.
    """
    complaints = {STATE_FILE: _wrong_step(folder / STATE_FILE, step_of(folder))}
    if names is None:
        names = [path.name for path in folder.glob("*")]
    for name in sorted(name for name in names if name.endswith(".safetensors")):
        complaints[name] = find_not_finite(folder / name)
    return [f"{name}: {wrong}" for name, wrong in complaints.items() if wrong]


def _wrong_step(path: Path, step: int | None) -> str:
    if step is None or not path.exists():
        return ""
    try:
        state = read_plain_json(path)
    except ValueError as error:
        return str(error)
    found = state.get("step") if isinstance(state, dict) else None
    return "" if found == step else f"the state of step {found} instead of {step}"
