"""Coordinates for the sampler, and edges of ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemtune.config.params import Param
from gemtune.hyperparameter.edges import find_edges, widen, widest
from gemtune.hyperparameter.space import Choices, Space, Span, decode, distributions, encode

SPACE = Space(
    {
        "learning_rate": Span(1e-4, 1e-2, is_log=True),
        "batch_size": Choices((4, 8, 16)),
        "lora_dropout": Span(0.0, 0.3),
        "target_modules": Choices(("all-linear", "attention")),
    },
    reference_batch=8.0,
)
PARAMS = {
    "learning_rate": 1e-3,
    "batch_size": 8,
    "lora_dropout": 0.1,
    "target_modules": "attention",
}


def test_ordered_choices_keep_their_order_and_words_have_none() -> None:
    shape = distributions(SPACE)
    assert type(shape["batch_size"]).__name__ == "IntDistribution"
    assert type(shape["target_modules"]).__name__ == "CategoricalDistribution"


def test_a_learning_rate_goes_with_the_root_of_the_batch_size() -> None:
    point = {"learning_rate": 1e-3, "batch_size": 2, "lora_dropout": 0.1, "target_modules": 0}
    assert decode(point, SPACE)["learning_rate"] == 1.41e-3
    assert decode({**point, "batch_size": 0}, SPACE)["learning_rate"] == 7.07e-4


@given(st.floats(1e-4, 1e-2), st.integers(0, 2), st.floats(0.0, 0.3), st.integers(0, 1))
def test_settings_that_the_sampler_chose_are_found_again(
    rate: float, batch: int, dropout: float, modules: int
) -> None:
    point = {
        "learning_rate": rate,
        "batch_size": batch,
        "lora_dropout": dropout,
        "target_modules": modules,
    }
    found = encode(decode(point, SPACE), SPACE)
    assert found is not None
    assert found == pytest.approx(point, rel=0.01)
    for name, distribution in distributions(SPACE).items():
        assert distribution._contains(distribution.to_internal_repr(found[name]))


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-5}, {"batch_size": 32}, {"target_modules": ["q_proj"]}]
)
def test_settings_outside_the_space_have_no_coordinates(change: dict[str, Param]) -> None:
    assert encode({**PARAMS, **change}, SPACE) is None


@pytest.mark.parametrize(
    ("rate", "batch", "side"),
    [(1e-3, 8, None), (8e-3, 8, "high"), (5e-2, 8, "high"), (1.1e-4, 8, "low"), (8e-3, 16, None)],
)
def test_a_best_rate_in_the_outer_tenth_of_its_range_is_at_the_edge(
    rate: float, batch: int, side: str | None
) -> None:
    edges = find_edges(SPACE, {**PARAMS, "learning_rate": rate, "batch_size": batch})
    assert [edge.side for edge in edges] == ([side] if side else [])


def test_a_dropout_at_its_end_is_no_alarm() -> None:
    assert not find_edges(SPACE, {**PARAMS, "lora_dropout": 0.0})


def test_a_range_is_widened_by_half_of_itself_where_the_best_lies() -> None:
    edges = find_edges(SPACE, {**PARAMS, "learning_rate": 1e-2})
    assert ends(widen(SPACE, edges)) == pytest.approx((1e-4, 0.1))


def test_no_range_becomes_wider_than_the_widest() -> None:
    assert ends(widest(SPACE)) == pytest.approx((1e-5, 0.1))


def ends(space: Space) -> tuple[float, float]:
    found = space.ranges["learning_rate"]
    assert isinstance(found, Span)
    return found.low, found.high
