"""What YAML 1.1 readers silently take for something else, and files that are no config."""

import os
import threading
from pathlib import Path

import pytest

from gemtune.config.load import load_config
from gemtune.errors import ConfigError


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "c.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config([path])
    return str(caught.value)


def training(key: str, value: str) -> str:
    return f"fine_tuning:\n  training:\n    {key}: {value}\n"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1e-4", 1e-4), ("1E-4", 1e-4), ("1.0e-4", 1e-4), ("1.e-4", 1e-4), (".5", 0.5), ("+1", 1.0)],
)
def test_every_spelling_of_a_number_is_a_number(tmp_path: Path, text: str, rate: float) -> None:
    path = write(tmp_path, training("learning_rate", text))
    assert load_config([path]).fine_tuning.training.learning_rate == rate


@pytest.mark.parametrize(("word", "cure"), [
    ("yes", "true"), ("on", "true"), ("Y", "true"), ("1", "true"), ("'true'", "true"),
    ("no", "false"), ("Off", "false"), ("n", "false"), ("0", "false"), ("'false'", "false"),
])  # fmt: skip
def test_only_true_and_false_are_booleans(tmp_path: Path, word: str, cure: str) -> None:
    path = write(tmp_path, f"monitoring:\n  tensorboard: {word}\n")
    message = complaint(path)
    assert message.startswith(f"{path}:2: 'monitoring.tensorboard' must be true or false")
    assert message.endswith(f"write {cure}, unquoted")


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_true_may_be_written_as_in_yaml_or_python(tmp_path: Path, word: str) -> None:
    path = write(tmp_path, training("fp16", word))
    assert load_config([path]).fine_tuning.training.fp16 is True


@pytest.mark.parametrize(
    "word", ["no", "NO", "on", "yes", "012", "0x1f", "3:30", "2026-01-01", "1_0"]
)
def test_text_stays_as_it_was_written(tmp_path: Path, word: str) -> None:
    assert load_config([write(tmp_path, f"project:\n  name: {word}\n")]).project.name == word


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("012", "a leading zero means octal to some readers; write 12"),
        ("3:30", "some readers take this for base 60"),
        ("2026-01-01", "reads like a date"),
        ("10_000", "write 10000"),
    ],
)
def test_what_is_a_number_to_some_readers_only_is_refused(
    tmp_path: Path, text: str, hint: str
) -> None:
    path = write(tmp_path, training("batch_size", text))
    message = complaint(path)
    assert message.startswith(f"{path}:3: 'fine_tuning.training.batch_size' must be a whole number")
    assert hint in message


@pytest.mark.parametrize("word", ["null", "Null", "~", ""])
def test_null_switches_an_optional_key_off(tmp_path: Path, word: str) -> None:
    path = write(tmp_path, training("max_steps", word))
    assert load_config([path]).fine_tuning.training.max_steps is None


def test_a_duplicate_key_names_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "data:\n  max_length: 64\nproject:\n  name: a\ndata: {}\n")
    assert complaint(path) == f"{path}:5: 'data' is given twice, first at {path}:1"


def test_a_tab_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "data:\n\tmax_length: 64\n")
    assert complaint(path) == f"{path}:2: a tab stands here; indent with spaces"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {x: !!python/object/apply:os.getcwd []}", "!!python/object/apply:os.getcwd"),
        ("data: !!python/name:os.system ''", "the tag !!python/name:os.system is refused"),
        ("data:\n  max_length: !!int '3'", "2: the tag !!int is refused"),
        ("data: !mine {a: 1}", "the tag !mine is refused"),
        ("a: &a [1]\n" + "b: [" + "*a, " * 101 + "]", "2: more than 100 aliases"),
        ("a: &a {b: *a}", "nested deeper than 50 levels"),
        ("a: " + "[" * 51 + "]" * 51, "nested deeper than 50 levels"),
        ("a: " + "[" * 200_000, "nested deeper than 50 levels"),
        ("a: [" + "1," * 10_001 + "]", "more than 10000 values"),
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "a config is a mapping of `key: value` lines; got a list"),
        ("just words", "got 'just words'"),
        ("? [a]\n: 1", "a key must be a word"),
        ("data: {}\n---\ndata: {}\n", "2: a second document starts here"),
        ("data: a: b", "1: a second ':' on this line"),
        ("data: [1, 2\nproject: x", "not valid YAML"),
        ("data: *nowhere", "not valid YAML: found undefined alias"),
        ("data:\n  separator: \x00", "2: the character #x0000 is not allowed"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in complaint(write(tmp_path, text))


def test_a_bomb_of_few_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "more than 10000 values once aliases are followed" in complaint(
        write(tmp_path, "\n".join(lines))
    )


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    path = write(tmp_path, "evaluation: {seed: &s 7}\nfine_tuning: {training: {seed: *s}}\n")
    config = load_config([path])
    assert config.fine_tuning.training.seed == config.evaluation.seed == 7


def test_a_merge_key_is_an_unknown_key_with_a_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, "data: &d {max_length: 64}\nproject:\n  <<: *d\n")
    assert complaint(path).endswith("write the keys out, or give a second --config-path")


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"project:\n  name: \xe9\n")
    assert complaint(path) == f"{path}:2: byte 0xe9 is not UTF-8; save the file as UTF-8"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfproject:\n  name: \xc3\xa9\n")
    assert load_config([path]).project.name == "\u00e9"


def test_a_file_over_one_mebibyte_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "#" * (1 << 20) + "\n")
    assert complaint(path) == f"{path}: over 1,048,576 bytes; no config is that long"


def test_a_path_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = write(tmp_path, "data: {}") / "c.yaml"
    assert complaint(path) == f"{path}: cannot be read: Not a directory"


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=["data: {max_length: 9}"])
    writer.start()
    assert load_config([path]).data.max_length == 9
    writer.join()


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path, "data: {}")
    path = tmp_path / "cc.yml"
    assert complaint(path) == f"{path}: no such file; did you mean {str(tmp_path / 'c.yaml')!r}?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "c.yaml"
    assert complaint(path).endswith(f"the folder {tmp_path / 'none'} does not exist")


def test_a_folder_lists_the_configs_in_it(tmp_path: Path) -> None:
    write(tmp_path, "data: {}")
    assert complaint(tmp_path) == f"{tmp_path}: this is a folder, not a config file; in it: c.yaml"
