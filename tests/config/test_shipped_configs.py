"""Every config that the repository ships or shows in its docs loads, and the schema is current."""

import re
from pathlib import Path

import pytest

from gemtune.config.explain import schema_text
from gemtune.config.load import load_config
from gemtune.config.read_yaml import read_file_text
from gemtune.config.reference_page import reference_page
from gemtune.config.schema import Config

ROOT = Path(__file__).resolve().parents[2]
RENEW = "renew it: gemtune config schema > config/schema.json"

YAML_FILES = sorted([*ROOT.glob("config/**/*.y*ml"), *ROOT.glob("docs/**/*.y*ml")])
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def config_blocks() -> dict[str, str]:
    """The YAML blocks of the docs that are configs, each by its page and line."""
    blocks: dict[str, str] = {}
    for page in filter(Path.exists, PAGES):
        text = page.read_text(encoding="utf-8")
        for fence in FENCE.finditer(text):
            first_key = re.search(r"^(\w+):", fence[1], re.MULTILINE)
            if first_key and first_key[1] in Config.model_fields:
                name = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, fence.start()) + 1}"
                blocks[name] = fence[1]
    return blocks


CONFIG_BLOCKS = config_blocks()


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_config_loads(path: Path) -> None:
    load_config([path])


@pytest.mark.parametrize("path", list(ROOT.glob("config/*.yaml")), ids=lambda path: path.name)
def test_a_shipped_config_tells_editors_its_schema(path: Path) -> None:
    first_line = path.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize("text", CONFIG_BLOCKS.values(), ids=CONFIG_BLOCKS)
def test_a_config_shown_in_the_docs_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    load_config([path])


def test_the_default_config_is_the_example_of_the_plan_with_gpt2() -> None:
    text = (ROOT / "config" / "default.yaml").read_text(encoding="utf-8")
    assert read_file_text(text, "default.yaml", 0).values == {
        "fine_tuning": {
            "model": "gpt2",
            "method": "peft",
            "lora": {
                "r": 16,
                "alpha": 32,
                "dropout": 0.1,
                "target_modules": ["c_attn", "c_proj"],
                "bias": "none",
            },
            "training": {
                "batch_size": 8,
                "learning_rate": 1.0e-5,
                "epochs": 3,
                "warmup_steps": 100,
                "weight_decay": 0.01,
                "gradient_accumulation_steps": 4,
                "max_grad_norm": 1.0,
                "fp16": True,
            },
        }
    }


def test_the_schema_file_is_what_the_models_say() -> None:
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == schema_text(), RENEW


def test_the_reference_page_is_what_the_models_say() -> None:
    page = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    renew = "renew it: gemtune config explain --markdown > docs/reference/config.md"
    assert page == reference_page() + "\n", renew
