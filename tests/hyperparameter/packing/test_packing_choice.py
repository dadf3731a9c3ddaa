"""How many trials share a pass is read off what was measured, or off the config."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hyperparameter.packing.packed_runs import load_base, make_rows
from transformers import AutoTokenizer

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.fine_tuning.foundation import Foundation
from gemtune.hyperparameter.packing.choice import Measured, choose_by_probe
from gemtune.hyperparameter.packing.decide import decide_packing
from gemtune.hyperparameter.packing.probe import measure_together


def told(speeds: Mapping[int, tuple[float, float]]) -> Callable[[int], Measured]:
    """A border: a device with these tokens a second and shares of its memory."""
    return lambda size: Measured(size, *speeds[size])


def test_the_fastest_number_is_chosen() -> None:
    measure = told({1: (100, 0.2), 2: (190, 0.3), 4: (300, 0.4), 8: (250, 0.6)})
    choice = choose_by_probe(measure, at_most=9)
    assert choice.n_together == 4
    assert "3.00 times" in choice.reason
    assert [each.n_together for each in choice.measured] == [1, 2, 4, 8]
    assert choice.as_json()["measured"][1] == {
        "n_together": 2,
        "tokens_per_second": 190,
        "memory_share": 0.3,
    }


def test_what_leaves_too_little_memory_is_not_chosen_and_nothing_larger_is_tried() -> None:
    measure = told({1: (100, 0.4), 2: (150, 0.6), 4: (300, 0.85)})
    choice = choose_by_probe(measure, at_most=9)
    assert choice.n_together == 2
    assert [each.n_together for each in choice.measured] == [1, 2, 4]


def test_a_gain_within_the_noise_is_none() -> None:
    measure = told({1: (100, 0.1), 2: (104, 0.1), 4: (99, 0.1), 8: (104.9, 0.1)})
    assert choose_by_probe(measure, at_most=9).n_together == 1


def test_no_more_are_tried_than_are_ever_trained_at_once() -> None:
    measure = told({1: (100, 0.1), 2: (200, 0.1), 4: (400, 0.1)})
    choice = choose_by_probe(measure, at_most=4)
    assert (choice.n_together, len(choice.measured)) == (4, 3)


@pytest.fixture(scope="module")
def foundation(tiny_llama_dir: Path) -> Foundation:
    """A base and rows."""
    return found(tiny_llama_dir)


def found(folder: Path) -> Foundation:
    base, tokenizer = load_base(folder, torch.float32), AutoTokenizer.from_pretrained(str(folder))
    assert tokenizer is not None
    return Foundation(
        rows={"train": make_rows(), "val": make_rows(4, seed=1)},
        tokenizer=tokenizer,
        base=base,
        base_name=str(folder),
        dtype=torch.float32,
        device=torch.device("cpu"),
        answer_tokens_p99=10,
    )


def config_with(*overrides: str) -> Config:
    return load_config((), overrides)


def never(size: int) -> Measured:
    raise AssertionError("nothing is measured")


def test_auto_is_one_at_once_on_a_cpu(foundation: Foundation) -> None:
    choice = decide_packing(config_with(), foundation, never)
    assert (choice.n_together, choice.measured) == (1, ())
    assert "CPU" in choice.reason


def test_a_number_is_taken_at_its_word(foundation: Foundation) -> None:
    for size in (1, 2, 4, 8):
        wanted = config_with(f"hyperparameter.packing={size}")
        assert decide_packing(wanted, foundation, never).n_together == size


@pytest.mark.parametrize("setting", ["use_dora=true", "bias=all", "bias=lora_only", "init=pissa"])
def test_adapters_that_touch_the_base_are_trained_one_by_one(
    foundation: Foundation, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = config_with("hyperparameter.packing=4", f"fine_tuning.lora.{setting}")
    assert decide_packing(wanted, foundation, never).n_together == 1
    assert "hyperparameter.packing=4 has no effect" in caplog.text


def test_bases_that_are_not_understood_are_trained_one_by_one(tiny_llama_dir: Path) -> None:
    wanted = config_with("hyperparameter.packing=4")
    mixed = found(tiny_llama_dir)
    mixed.base.get_submodule("model.layers.0.mlp.up_proj").to(torch.bfloat16)
    other = found(tiny_llama_dir)
    setattr(other.base.config, "model_type", "mixture")  # noqa: B010 - a class says otherwise
    noisy = found(tiny_llama_dir)
    noisy.base.config.attention_dropout = 0.1
    odd = found(tiny_llama_dir)
    layer = odd.base.get_submodule("model.layers.0.mlp.up_proj")
    layer.__class__ = type("QuantizedLinear", (torch.nn.Linear,), {})
    for each in (mixed, other, noisy, odd):
        assert decide_packing(wanted, each, never).n_together == 1


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_probe_counts_real_tokens_by_the_clock(foundation: Foundation, size: int) -> None:
    ticks = iter(range(1000))
    found = measure_together(
        foundation, config_with("fine_tuning.training.batch_size=4"), size, n_steps=3,
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    # The clock ticks once for each step of each trial; the first step of each is not counted.
    n_rows = sorted(len(row.token_ids) for row in foundation.rows["train"])
    least, most = 12 * n_rows[0], 12 * n_rows[-1]
    assert least < found.tokens_per_second * 3 < most
    assert found.n_together == size
