"""Light commands stay light: what a process has imported is asked of the process itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ML = ["torch", "transformers", "peft", "safetensors", "tensorboard", "numpy"]
BESIDES = ["pydantic", "yaml", "rich", "sacrebleu", "rouge_score", "psutil", "gguf"]


def modules_after(code: str) -> set[str]:
    """Run `code` in a new process and return the top-level modules that it then holds."""
    show = "\nimport sys\nprint('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    process = subprocess.run(
        [sys.executable, "-c", code + show], cwd=ROOT, capture_output=True, text=True, check=True,
        timeout=60, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    return set(process.stdout.rpartition("MODULES")[2].split())


def after_command(*words: str) -> set[str]:
    return modules_after(f"from gemtune.cli.app import run\nassert run({list(words)!r}) == 0")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["config", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert not after_command(*words) & {*ML, *BESIDES}


@pytest.mark.parametrize(
    "words",
    [["check", "config/default.yaml"], ["show"], ["schema"], ["explain", "fine_tuning.lora.r"]],
)
def test_config_commands_import_no_machine_learning(words: list[str]) -> None:
    modules = after_command("config", *words)
    assert "pydantic" in modules
    assert not modules & {*ML, "rich", "sacrebleu", "rouge_score"}


def test_importing_the_package_imports_nothing_but_itself() -> None:
    assert not modules_after("import gemtune") & {*ML, *BESIDES, "click"}
