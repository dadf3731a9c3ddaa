"""P28: a config is data: no tags, no doubled keys, and bounds on size, depth and aliases."""

import resource
import time
from pathlib import Path

import pytest

from gemtune.config.load import load_config
from gemtune.errors import ConfigError

LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)
HOSTILE = {
    "a call": ("project: !!python/object/apply:pathlib.Path.touch [CANARY]", "the tag !!python"),
    "a new object": ("project: !!python/object/new:os.system [touch CANARY]", "the tag !!python"),
    "a module": ("project: !!python/module:antigravity", "the tag !!python"),
    "a tag of its own": ("project: !evil {a: 1}", "the tag !evil is refused"),
    "a shortened tag": ("%TAG ! tag:yaml.org,2002:python/\n--- !name:os.system ''", "the tag"),
    "a binary": ("project: !!binary aGVsbG8=", "the tag !!binary"),
    "a doubled key": ("data: {}\ndata: {}\n", "'data' is given twice"),
    "a billion laughs": (LAUGHS, "more than 10000 values once aliases are followed"),
    "many aliases": ("a: &a [1]\nb: [" + "*a, " * 101 + "]", "more than 100 aliases"),
    "a loop": ("a: &a [*a]", "nested deeper than 50 levels"),
    "51 levels": ("a: " + "[" * 51 + "]" * 51, "nested deeper than 50 levels"),
    "10,000 levels": ("a: " + "[" * 10_000 + "]" * 10_000, "nested deeper than 50 levels"),
    "10,000 blocks": ("- " * 10_000 + "a", "nested deeper than 50 levels"),
    "10,000 keys in keys": ("? " * 10_000 + "a", "nested deeper than 50 levels"),
    "a mebibyte": ("#" * 2**20 + "\n", "over 1,048,576 bytes"),
    "a long number": ("data: {max_length: " + "9" * 5_000 + "}", "'data.max_length' must be"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_config_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(text)
    started, before = time.process_time(), peak_bytes()

    with pytest.raises(ConfigError) as caught:
        load_config(["c.yaml"])

    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert time.process_time() - started < 2.0
    assert peak_bytes() - before < 64 * 2**20
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("value", ["!!python/name:os.system", "&a [*a]", "[" * 10_000])
def test_a_hostile_override_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        load_config([], [f"project.name={value}"])


def test_a_device_without_end_is_read_up_to_the_bound() -> None:
    with pytest.raises(ConfigError, match="over 1,048,576 bytes"):
        load_config(["/dev/zero"])


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
