"""A run that is trained in the same passes as others reaches what it reaches alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hyperparameter.packing.packed_runs import (
    MIXED,
    Setting,
    largest_difference,
    load_base,
    make_rows,
    make_run,
    steps_of,
    train_alone,
    train_packed,
)
from torch import Tensor
from transformers import PreTrainedModel

from gemtune.fine_tuning.gradient_request import Asking
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.step import mean_loss
from gemtune.hyperparameter.packing.network import PackedNetwork
from gemtune.hyperparameter.packing.pack import train_together
from gemtune.hyperparameter.packing.shares import cut_step

ROWS = make_rows()
# Steps of 1, 2 or 4 micro-batches: runs take them at different moments.
N_STEPS = (12, 8, 5, 12)


@pytest.fixture(scope="module")
def exact_base(tiny_gpt2_dir: Path) -> PreTrainedModel:
    """All of GPT-2 computes in fp64; other families round in their norms."""
    return load_base(tiny_gpt2_dir, torch.float64, by_row=False)


def together(
    base: PreTrainedModel, settings: Sequence[Setting], n_steps: Sequence[int]
) -> tuple[list[Ingredients], list[list[float]]]:
    runs = [make_run(base, setting, ROWS) for setting in settings]
    return runs, train_packed(base, runs, n_steps)


def alone(base: PreTrainedModel, setting: Setting, n_steps: int) -> tuple[Ingredients, list[float]]:
    run = make_run(base, setting, ROWS)
    return run, train_alone(run, n_steps)


def test_packed_runs_are_those_alone_to_the_last_digits_of_fp64(
    exact_base: PreTrainedModel,
) -> None:
    packed, losses = together(exact_base, MIXED, N_STEPS)
    assert all(run.progress.n_steps == n for run, n in zip(packed, N_STEPS, strict=True))
    for number, setting in enumerate(MIXED):
        run, wanted = alone(exact_base, setting, N_STEPS[number])
        assert losses[number] == pytest.approx(wanted, rel=1e-12)
        assert largest_difference(packed[number], run) < 1e-12
        assert packed[number].progress.n_tokens == run.progress.n_tokens


@pytest.mark.parametrize("by_row", [True, False], ids=["end to end", "side by side"])
def test_every_family_has_the_gradients_that_it_has_alone(
    tiny_model_dir: Path, by_row: bool
) -> None:
    base = load_base(tiny_model_dir, torch.float32, by_row=by_row)
    assert_gradients(base, MIXED, is_plain=False)


def test_without_dropout_they_are_those_of_peft(tiny_model_dir: Path) -> None:
    base = load_base(tiny_model_dir, torch.float32, by_row=False)
    assert_gradients(base, [replace(each, dropout=0.0) for each in MIXED], is_plain=True)


def assert_gradients(base: PreTrainedModel, settings: Sequence[Setting], *, is_plain: bool) -> None:
    """Those of the first step are those of each run alone."""
    packed, gradients = gradients_together(base, settings)
    for number, setting in enumerate(settings):
        run = make_run(base, setting, ROWS, is_plain=is_plain)
        request = next(steps_of(run, 1))
        loss = request.alone()
        assert packed[number] == pytest.approx(loss, rel=1e-5)
        for name, weight in run.masters.weights.items():
            assert weight.grad is not None
            torch.testing.assert_close(
                gradients[number][name],
                weight.grad,
                rtol=1e-5,
                atol=1e-5 * weight.grad.abs().max().item(),
            )


def gradients_together(
    base: PreTrainedModel, settings: Sequence[Setting]
) -> tuple[list[float], list[dict[str, Tensor]]]:
    """Losses and gradients of the first step."""
    runs = [make_run(base, setting, ROWS) for setting in settings]
    network = PackedNetwork(base, runs)
    waiting = [cut_step(next(steps_of(run, 1))) for run in runs]
    n_targets = [shares[0].n_targets for shares in waiting]
    losses = [0.0] * len(runs)
    while any(waiting):
        turn = [number for number, shares in enumerate(waiting) if shares]
        found = network.add_gradients([waiting[number].pop(0) for number in turn])
        for number, loss in zip(turn, found, strict=True):
            losses[number] += loss / n_targets[number]
    return losses, [gradients_of(run) for run in runs]


def gradients_of(run: Ingredients) -> dict[str, Tensor]:
    found = {name: weight.grad for name, weight in run.masters.weights.items()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def test_neighbours_place_and_number_change_nothing(exact_base: PreTrainedModel) -> None:
    setting, n_steps = MIXED[1], 6
    wanted, _ = alone(exact_base, setting, n_steps)
    wild = replace(MIXED[2], learning_rate=1.0, r=32)
    for settings in ([setting, wild], [wild, MIXED[0], setting], [*MIXED[:1], setting, *MIXED]):
        runs, _ = together(exact_base, settings, [n_steps] * len(settings))
        assert largest_difference(runs[settings.index(setting)], wanted) < 1e-12


def test_a_run_that_changes_its_pack_half_way_is_the_run_that_stayed_alone(
    exact_base: PreTrainedModel,
) -> None:
    wanted, _ = alone(exact_base, MIXED[1], 8)
    run = make_run(exact_base, MIXED[1], ROWS)
    first, second = (make_run(exact_base, MIXED[number], ROWS) for number in (0, 2))
    train_packed(exact_base, [run, first], [3, 5])
    train_alone(run, 2)
    train_packed(exact_base, [second, run], [4, 3])
    assert largest_difference(run, wanted) < 1e-12


def test_the_models_of_packed_runs_compute_with_their_new_weights(
    exact_base: PreTrainedModel,
) -> None:
    runs, _ = together(exact_base, MIXED[:2], (3, 3))
    for number, run in enumerate(runs):
        other, _ = alone(exact_base, MIXED[number], 3)
        found = mean_loss(run.model, ROWS, max_tokens=200)
        assert found == pytest.approx(mean_loss(other.model, ROWS, max_tokens=200), rel=1e-12)


def test_the_base_stays_as_it_is(exact_base: PreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in exact_base.state_dict().items()}
    modules = [type(module) for module in exact_base.modules()]
    together(exact_base, MIXED[:2], (2, 2))
    assert [type(module) for module in exact_base.modules()] == modules
    after = exact_base.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


class FullMemory:
    """A border: passes of more than so many runs do not fit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_most: int) -> None:
        """Watch every pass that is shared."""
        self.tried: list[int] = []
        compute = PackedNetwork.add_gradients

        def add_gradients(network: PackedNetwork, shares: Sequence[object]) -> list[float]:
            self.tried.append(len(shares))
            if len(shares) > at_most:
                raise torch.OutOfMemoryError("no memory is left")
            return compute(network, shares)  # type: ignore[bad-argument-type]

        monkeypatch.setattr(PackedNetwork, "add_gradients", add_gradients)


@pytest.mark.parametrize(("at_most", "tried"), [(2, {4, 2}), (1, {4, 2})])
def test_runs_that_do_not_fit_together_share_passes_with_fewer(
    exact_base: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, at_most: int, tried: set[int]
) -> None:
    memory = FullMemory(monkeypatch, at_most)
    runs, _ = together(exact_base, MIXED, [3] * 4)
    assert set(memory.tried) == tried
    for run, setting in zip(runs, MIXED, strict=True):
        assert largest_difference(run, alone(exact_base, setting, 3)[0]) < 1e-12


def test_an_error_of_one_run_is_raised_once_all_others_know(exact_base: PreTrainedModel) -> None:
    told = []

    def listening(run: Ingredients) -> Asking[None]:
        try:
            yield from steps_of(run, 9)
        except KeyboardInterrupt:
            told.append(run.progress.n_steps)
            raise

    def failing(run: Ingredients) -> Asking[None]:
        yield from steps_of(run, 2)
        raise ValueError("lost")

    runs = [make_run(exact_base, MIXED[number], ROWS) for number in (0, 3, 1)]
    asking = [listening(runs[0]), failing(runs[1]), listening(runs[2])]
    with pytest.raises(ValueError, match="lost"):
        train_together(exact_base, asking)
    # The first takes a step in each pass, the last needs four passes for one.
    assert told == [2, 0]


def test_the_dropout_of_a_run_does_not_depend_on_who_draws_before_it(
    exact_base: PreTrainedModel,
) -> None:
    same = [replace(MIXED[1], dropout=0.5)] * 3
    runs, losses = together(exact_base, same, (2, 2, 2))
    without, _ = together(exact_base, [replace(MIXED[1], dropout=0.0)] * 2, (2, 2))
    for other in losses[1:]:
        assert losses[0] == pytest.approx(other, rel=1e-12)
    assert largest_difference(runs[0], runs[2]) < 1e-12
    assert largest_difference(runs[0], without[0]) > 1e-6
