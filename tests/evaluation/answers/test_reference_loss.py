"""The loss on the references is the one that training lowers."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gemtune.config.schema import Config, DataConfig
from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import ArtefactError
from gemtune.evaluation.answers.reference_loss import reference_losses
from gemtune.evaluation.metrics import evaluate_model
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.step import mean_loss
from gemtune.models.load import LoadedModel, load_model_for_generation
from gemtune.models.template import row_encoder

MakeModel = Callable[[int], Path]
WriteRows = Callable[..., Path]


def load(folder: Path) -> LoadedModel:
    return load_model_for_generation(folder, revision=None, precision="fp32")


def encoded(loaded: LoadedModel, n_rows: int) -> list[EncodedRow]:
    encode = row_encoder(loaded.tokenizer, DataConfig())
    asked = [
        Example(
            (
                Message("user", f"ask {'very ' * (i % 7)}{i}"),
                Message("assistant", "say " * i + "!"),
            ),
            id=str(i),
        )
        for i in range(n_rows)
    ]
    return [encode(example) for example in asked]


def test_it_is_the_validation_loss_of_training(tiny_model_dir: Path) -> None:
    loaded = load(tiny_model_dir)
    rows = encoded(loaded, 12)
    trained = [
        Row(str(i), np.asarray(row.token_ids), np.asarray(row.trained))
        for i, row in enumerate(rows)
    ]

    found = reference_losses(loaded.model, rows, batch_tokens=200)

    assert [loss.n_tokens for loss in found] == [row.n_targets for row in trained]
    mean = sum(loss.nats for loss in found) / sum(loss.n_tokens for loss in found)
    assert mean == pytest.approx(mean_loss(loaded.model, trained, max_tokens=200), abs=1e-6)


def test_it_does_not_depend_on_the_batch_but_for_rounding(tiny_llama_dir: Path) -> None:
    loaded = load(tiny_llama_dir)
    rows = encoded(loaded, 12)

    one_by_one = reference_losses(loaded.model, rows, batch_tokens=1)
    together = reference_losses(loaded.model, rows, batch_tokens=4096)

    assert [loss.nats for loss in one_by_one] == pytest.approx(
        [loss.nats for loss in together], rel=1e-5
    )


def test_a_token_that_the_model_does_not_know_is_refused(tiny_llama_dir: Path) -> None:
    model = load(tiny_llama_dir).model
    n_known = model.config.vocab_size
    row = EncodedRow([5, n_known, 6], [False, True, True], truncated=False, n_prompt_tokens=1)

    with pytest.raises(ArtefactError, match=f"token {n_known}, but the model knows only"):
        reference_losses(model, [row], batch_tokens=200)


def test_only_the_last_answer_counts_and_its_end_token(tiny_llama_dir: Path) -> None:
    loaded = load(tiny_llama_dir)
    row = EncodedRow([5, 9, 11, 12, 3], [False, True, False, True, True], False, n_prompt_tokens=3)
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([[5, 9, 11, 12, 3]])).logits[0]
    logs = torch.log_softmax(logits.double(), dim=-1)

    [found] = reference_losses(loaded.model, [row], batch_tokens=100)

    assert found.n_tokens == 2
    assert found.nats == pytest.approx(-(logs[2, 12] + logs[3, 3]).item(), rel=1e-5)


def test_a_row_longer_than_the_context_loses_the_beginning_of_its_prompt(
    tiny_llama_dir: Path,
) -> None:
    loaded = load(tiny_llama_dir)
    tokens = [7 + i % 90 for i in range(300)]
    row = EncodedRow(tokens, [False] * 290 + [True] * 10, False, n_prompt_tokens=290)
    cut = EncodedRow(tokens[44:], [False] * 246 + [True] * 10, False, n_prompt_tokens=246)

    [found] = reference_losses(loaded.model, [row], batch_tokens=100)

    # The context of the model is 256 tokens.
    assert found == reference_losses(loaded.model, [cut], batch_tokens=100)[0]


def test_every_prediction_knows_the_loss_on_its_reference(
    make_model: MakeModel, write_rows: WriteRows
) -> None:
    rows = [{"input_text": f"ask {i}", "output_text": f"say {i}"} for i in range(6)]
    config = Config.model_validate({"evaluation": {"precision": "fp32"}})

    metrics = evaluate_model(make_model(0), write_rows("t.jsonl", rows), config=config)

    # A random model of 258 tokens is about as good as a guess.
    assert 0.5 * math.log(258) < metrics["loss"] < 3 * math.log(258)
