"""Files and overrides become one Config; what is wrong in them is told all at once."""

import logging
from pathlib import Path

import pytest
from plan_example import PLAN_EXAMPLE

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.errors import ConfigError


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def complaints(*overrides: str, paths: tuple[Path, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(paths, overrides)
    lines = str(caught.value).splitlines()
    return [line.strip() for line in lines[1:]] if len(lines) > 1 else lines


def test_without_files_the_defaults_of_the_schema_hold() -> None:
    assert load_config() == Config()


def test_a_later_file_wins_and_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    first = write(tmp_path, "fine_tuning: {lora: {r: 4, alpha: 8}}", "a.yaml")
    second = write(tmp_path, "fine_tuning: {lora: {r: 2}}", "b.yaml")
    lora = load_config([first, second]).fine_tuning.lora
    assert (lora.r, lora.alpha) == (2, 8.0)
    assert load_config([second, first]).fine_tuning.lora.r == 4


def test_an_override_wins_over_every_file_and_the_last_one_over_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, "fine_tuning: {lora: {r: 4}}")
    overrides = ["fine_tuning.lora.r=8", "fine_tuning.lora.r=32"]
    assert load_config([path], overrides).fine_tuning.lora.r == 32


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("fine_tuning.lora.target_modules=[q_proj, v_proj]", ["q_proj", "v_proj"]),
        (r"fine_tuning.lora.target_modules=.*\.(q|v)_proj", r".*\.(q|v)_proj"),
        ("fine_tuning.lora={target_modules: attention}", "attention"),
        ("fine_tuning.lora.target_modules='a=b'", "a=b"),
    ],
)
def test_the_value_of_an_override_is_yaml(override: str, value: object) -> None:
    assert load_config(overrides=[override]).fine_tuning.lora.target_modules == value


def test_an_override_without_a_value_is_null(tmp_path: Path) -> None:
    path = write(tmp_path, "fine_tuning: {training: {max_steps: 3}}")
    config = load_config([path], ["fine_tuning.training.max_steps="])
    assert config.fine_tuning.training.max_steps is None


def test_the_example_of_the_plan_is_refused_only_for_its_gemini_model(tmp_path: Path) -> None:
    path = write(tmp_path, PLAN_EXAMPLE)
    [line] = complaints(paths=(path,))
    assert line.startswith(f"{path}:2: the weights of 'gemini-pro' are not available")
    assert "smollm2-135m" in line


def test_the_example_of_the_plan_loads_with_an_open_model(tmp_path: Path) -> None:
    path = write(tmp_path, PLAN_EXAMPLE)
    config = load_config([path], ["fine_tuning.model=gpt2"]).fine_tuning
    assert config.lora.target_modules == ["c_attn", "c_proj"]
    assert config.training.learning_rate == 1e-5
    assert config.training.epochs == 3.0
    assert config.training.fp16 is True


def test_every_problem_is_told_at_once_in_reading_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "fine_tuning:\n"
        "  model: gemini-2.5-flash\n"
        "  lora:\n"
        "    dropuot: 0.1\n"
        "    r: 0\n"
        "    r: 3\n"
        "  training:\n"
        "    lr_scheduler: cosin\n",
    )
    missing = tmp_path / "nowhere.yaml"
    lines = complaints("target=moon", "oops", paths=(path, missing))
    assert [line.partition(": ")[0] for line in lines] == [
        f"{path}:2",
        f"{path}:4",
        f"{path}:5",
        f"{path}:6",
        f"{path}:8",
        f"{missing}",
        "override 'target=moon'",
        "override 'oops'",
    ]


def test_one_problem_is_one_line_and_says_what_helps(tmp_path: Path) -> None:
    path = write(tmp_path, "fine_tuning:\n  lora:\n    dropuot: 0.1\n")
    with pytest.raises(ConfigError) as caught:
        load_config([path])
    assert str(caught.value) == (
        f"{path}:3: unknown key 'fine_tuning.lora.dropuot'; did you mean 'dropout'?"
    )
    assert "config explain" in caught.value.fix


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("epochs=3", "did you mean 'fine_tuning.training.epochs'?"),
        ("lora.r=3", "did you mean 'fine_tuning.lora'?"),
        ("seed=3", "'fine_tuning.training.seed' or 'hyperparameter.seed' or 'evaluation.seed'?"),
        ("fine_tunning.lora.r=3", "did you mean 'fine_tuning'?"),
        ("fine_tuning.training.num_train_epochs=3", "it is called 'fine_tuning.training.epochs'"),
        ("fine_tuning.lora.lora_rank=3", "here it is called 'fine_tuning.lora.r'"),
        ("fine_tuning.training.lr=3", "here it is called 'fine_tuning.training.learning_rate'"),
        ("base_model=gpt2", "here it is called 'fine_tuning.model'"),
        ("per_device_train_batch_size=3", "it is called 'fine_tuning.training.batch_size'"),
        ("cutoff_len=3", "here it is called 'data.max_length'"),
        ("data.train_on_inputs=true", "the loss is always on the answer only"),
        ("data.zzz=3", "known here: template, separator, max_length"),
        ("=3", "known here: project"),
    ],
)
def test_an_unknown_key_names_where_the_user_wanted_to_go(override: str, hint: str) -> None:
    [line] = complaints(override)
    assert "unknown key" in line
    assert hint in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fine_tuning.lora.r=abc", "must be a whole number, at least 1; got 'abc'"),
        ("fine_tuning.lora.r=0", "must be a whole number, at least 1; got 0"),
        ("fine_tuning.lora.r=16.0", "got 16.0; write 16"),
        ("fine_tuning.lora.r='16'", "got '16'; remove the quotes: 16"),
        ("fine_tuning.lora.r=true", "must be a whole number, at least 1; got True"),
        ("fine_tuning.lora.r=[1]", "must be a whole number, at least 1; got a list"),
        ("fine_tuning.lora.dropout=1", "must be a number, at least 0, below 1; got 1"),
        ("fine_tuning.lora.alpha=.inf", "must be a number, above 0; got inf"),
        ("fine_tuning.lora.alpha=.nan", "must be a number, above 0; got nan"),
        ("fine_tuning.lora.bias=nono", "one of none, all, lora_only; got 'nono'; did you mean"),
        ("fine_tuning.lora.target_modules=[1]", "or a list of text, or text; got a list"),
        ("fine_tuning.lora.target_modules={str: 1}", "or text; got a section"),
        ("fine_tuning.lora=", "got nothing; put keys under it or remove the line"),
        ("fine_tuning.lora=3", "must be a section with the keys r, alpha"),
        ("fine_tuning.model=3", "must be text, not empty; got 3; put it in quotes"),
        ("fine_tuning.revision=1e5", "must be text, or null; got 100000.0; put it in quotes"),
        ("fine_tuning.model.name=x", "must be text, not empty; got a section"),
        ("project.name=''", "must be text, 1 to 63 characters; got ''"),
    ],
)
def test_a_wrong_value_says_what_the_key_takes(override: str, message: str) -> None:
    [line] = complaints(override)
    assert line.startswith(f"override {override!r}: ")
    assert message in line


def test_the_file_that_set_a_wrong_value_last_is_named(tmp_path: Path) -> None:
    first = write(tmp_path, "fine_tuning: {lora: {r: 4}}", "a.yaml")
    second = write(tmp_path, "fine_tuning:\n  lora:\n    r: x", "b.yaml")
    [line] = complaints(paths=(first, second))
    assert line.startswith(f"{second}:3: ")


@pytest.mark.parametrize("word", ["tRUE", "FalsE"])
def test_a_word_that_is_only_nearly_a_boolean_is_text(word: str) -> None:
    assert load_config(overrides=[f"project.name={word}"]).project.name == word


def test_fp16_contradicts_another_precision() -> None:
    [line] = complaints("fine_tuning.training.fp16=true", "fine_tuning.training.precision=bf16")
    assert "'fine_tuning.training.fp16' is true" in line
    assert "'fine_tuning.training.precision' is bf16" in line


def test_fp16_off_contradicts_precision_fp16() -> None:
    [line] = complaints("fine_tuning.training.fp16=false", "fine_tuning.training.precision=fp16")
    assert "'fine_tuning.training.fp16' is false" in line


def test_a_folder_whose_name_starts_with_gemini_is_no_gemini_model() -> None:
    config = load_config(overrides=["fine_tuning.model=./gemini-notes"])
    assert config.fine_tuning.model == "./gemini-notes"


@pytest.mark.parametrize(("rate", "n_warnings"), [("5e-5", 1), ("1e-5", 1), ("6e-5", 0)])
def test_a_learning_rate_for_full_fine_tuning_is_a_warning(
    rate: str, n_warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load_config(overrides=[f"fine_tuning.training.learning_rate={rate}"])
    assert len(caplog.messages) == n_warnings
    assert all("fine_tuning.training.learning_rate=0.0005" in text for text in caplog.messages)


def test_one_faulty_key_does_not_hide_what_the_rules_say_about_others() -> None:
    lines = complaints("fine_tuning.lora.r=x", "fine_tuning.model=gemini-pro")
    assert len(lines) == 2
