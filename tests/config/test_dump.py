"""A configuration that was written down is the same when it is read again."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gemtune.config.dump import dump_resolved, dump_yaml
from gemtune.config.load import load_config
from gemtune.config.read_yaml import read_file_text
from gemtune.config.schema import (
    Config,
    DataConfig,
    FineTuningConfig,
    LoraConfig,
    TrainingConfig,
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
LOOKS_LIKE_A_NUMBER = st.text("0123456789.eE+-_x:~", min_size=1, max_size=6)
TEXTS = ANY_TEXT | LOOKS_LIKE_A_NUMBER | st.sampled_from(["null", "True", "no", "2026-01-01"])
CONFIGS = st.builds(
    lambda text, rate, modules, fp16: Config(
        data=DataConfig(separator=text),
        fine_tuning=FineTuningConfig(
            revision=text,
            lora=LoraConfig(target_modules=modules),
            training=TrainingConfig(learning_rate=rate, fp16=fp16),
        ),
    ),
    TEXTS,
    st.floats(min_value=1e-300, max_value=1e300),
    st.lists(TEXTS) | TEXTS,
    st.none() | st.booleans(),
)


@settings(deadline=None)  # the machine may be busy
@given(CONFIGS)
def test_the_resolved_config_reads_back_equal(config: Config) -> None:
    layer = read_file_text(dump_resolved(config), "config.resolved.json", 0)
    assert not layer.problems
    assert Config.model_validate(layer.values, strict=True) == config


@settings(deadline=None)  # the machine may be busy
@given(CONFIGS)
def test_the_yaml_reads_back_equal(config: Config) -> None:
    layer = read_file_text(dump_yaml(config), "shown.yaml", 0)
    assert not layer.problems
    assert Config.model_validate(layer.values, strict=True) == config


def test_a_resolved_json_file_loads_as_a_config(tmp_path: Path) -> None:
    config = load_config(overrides=["fine_tuning.lora.r=3", "data.separator='\U0001f600'"])
    path = tmp_path / "config.resolved.json"
    path.write_text(dump_resolved(config), encoding="utf-8")
    assert load_config([path]) == config


def test_the_resolved_config_keeps_every_key_and_its_nulls() -> None:
    values = json.loads(dump_resolved(Config()))
    assert values["fine_tuning"]["training"]["max_steps"] is None
    assert values.keys() == Config.model_fields.keys()
