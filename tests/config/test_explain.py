"""Every key can be looked up, and editors get the same schema as the loader."""

import pytest

from gemtune.config.describe import all_paths, describe, find_node
from gemtune.config.explain import explain_key
from gemtune.errors import ConfigError


def test_a_key_is_explained_with_range_default_and_purpose() -> None:
    assert explain_key("fine_tuning.lora.dropout").splitlines() == [
        "fine_tuning.lora.dropout: a number, at least 0, below 1",
        "default: 0.0",
        "Dropout on the adapter's input.",
    ]


def test_choices_are_listed() -> None:
    assert "one of linear, cosine, constant" in explain_key("fine_tuning.training.lr_scheduler")


def test_a_section_explains_all_keys_below_it() -> None:
    text = explain_key("fine_tuning")
    assert "fine_tuning.model = " in text
    assert "fine_tuning.lora.r = 16  (a whole number, at least 1)" in text


def test_nothing_explains_everything() -> None:
    text = explain_key("")
    assert all(".".join(path) in text for path in all_paths())


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'dropout'\?"):
        explain_key("fine_tuning.lora.dropuot")


def test_an_unknown_key_with_nothing_near_is_named_alone() -> None:
    with pytest.raises(ConfigError, match=r"^unknown key 'data\.max_length\.qq'$"):
        explain_key("data.max_length.qq")


def test_a_bound_is_told_in_full() -> None:
    for name, text in (("bootstrap_samples", "at most 1000000"), ("seed", f"below {2**63}")):
        node = find_node(("evaluation", name))
        assert node is not None
        assert describe(node).endswith(text)


@pytest.mark.parametrize("path", list(all_paths()))
def test_every_key_can_be_described_and_says_what_it_is_for(path: tuple[str, ...]) -> None:
    node = find_node(path)
    assert node is not None
    assert describe(node)
    assert node.get("description")
