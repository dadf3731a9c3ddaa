"""Winner against default on the test data: what is proven is published, else the default."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import study_settings, write_study_data

from gemtune.config.load import load_config
from gemtune.config.params import Params, params_of
from gemtune.config.schema import Config
from gemtune.errors import DataError
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.finalists import Finalist
from gemtune.hyperparameter.proof import Proof, Question, prove
from gemtune.hyperparameter.records import Rung, Trial
from gemtune.hyperparameter.refits import Contender
from gemtune.runs.verify import verify_folder

GOOD, BAD = 2e-2, 1e-6

MakeQuestion = Callable[..., Question]


@pytest.fixture(scope="module")
def config(tiny_llama_dir: Path) -> Config:
    more = ["fine_tuning.training.epochs=8", "hyperparameter.n_refits=1"]
    return load_config((), study_settings(tiny_llama_dir, *more))


@pytest.fixture
def ask(config: Config, tmp_path: Path) -> MakeQuestion:
    """Ask whether one learning rate is better than another one."""
    write_study_data(tmp_path / "data")

    def make(*, winner: float, default: float) -> Question:
        params: Params = {**params_of(config), "learning_rate": winner}
        rung = Rung(1.0, Advance(1, 1, 0.5, 1.0))
        trial = Trial(7, params, "sampler", 1, 9, "complete", (rung,), None, 7)
        return Question(
            winner=Finalist(trial, 0.5, {"accuracy": 1.0}),
            default=Contender("default", {**params, "learning_rate": default}),
            data_dir=tmp_path / "data",
            output_dir=tmp_path / "out",
            config=config,
        )

    return make


def answer(question: Question) -> Proof:
    return prove(question, lambda *_: None, lambda _: True, show_progress=False)


def learning_rate_of(model_dir: Path) -> float:
    config = json.loads((model_dir / "config.resolved.json").read_text(encoding="utf-8"))
    return config["fine_tuning"]["training"]["learning_rate"]


def digests_of(folders: Sequence[Path]) -> list[bytes]:
    return [(folder / "adapter_model.safetensors").read_bytes() for folder in folders]


def test_a_winner_that_is_better_on_the_test_data_is_published(ask: MakeQuestion) -> None:
    question = ask(winner=GOOD, default=BAD)
    proof = answer(question)
    assert (proof.outcome, proof.published) == ("proven", "trial-0007")
    assert proof.evidence
    assert proof.evidence.verdict == "improved"
    assert "the gain is proven" in proof.told
    model_dir = question.output_dir / "model"
    assert learning_rate_of(model_dir) == GOOD
    assert [report.damage for report in verify_folder(model_dir)] == [()]
    model, run = digests_of([model_dir, Path(proof.published_run)])
    assert model == run


def test_a_winner_that_loses_on_the_test_data_leaves_the_default_in_place(
    ask: MakeQuestion,
) -> None:
    question = ask(winner=BAD, default=GOOD)
    proof = answer(question)
    assert (proof.is_proven, proof.published) == (False, "default")
    assert "the default is kept" in proof.told
    assert learning_rate_of(question.output_dir / "model") == GOOD
    # What it looked like when it was chosen is told beside what it turned out to be.
    assert proof.evidence
    told = proof.evidence.selection_bias
    assert "its accuracy was 1.000 on the validation data and 0." in told


def test_a_winner_that_is_the_default_needs_no_proof(ask: MakeQuestion) -> None:
    question = ask(winner=GOOD, default=GOOD)
    (question.data_dir / "test.jsonl").write_text("broken\n", encoding="utf-8")
    proof = answer(question)
    assert (proof.outcome, proof.is_proven) == ("default is best", False)
    assert "there is nothing to prove" in proof.told
    assert len(list((question.output_dir / "refits").iterdir())) == 1


def test_without_test_data_nothing_is_called_a_proof_until_there_is_some(
    ask: MakeQuestion,
) -> None:
    question = ask(winner=GOOD, default=BAD)
    test_data = question.data_dir / "test.jsonl"
    rows = test_data.read_text(encoding="utf-8")
    test_data.unlink()
    proof = answer(question)
    assert (proof.outcome, proof.published, proof.evidence) == ("no test data", "default", None)
    assert proof.as_json()["verdict"] is None
    assert "holds no test.jsonl, so nothing is proven" in proof.told
    assert learning_rate_of(question.output_dir / "model") == BAD
    test_data.write_text(rows, encoding="utf-8")
    assert answer(question).is_proven
    assert learning_rate_of(question.output_dir / "model") == GOOD


def test_the_rows_of_the_test_data_are_not_read_before_all_runs_are_done(
    ask: MakeQuestion,
) -> None:
    question = ask(winner=GOOD, default=BAD)
    (question.data_dir / "test.jsonl").write_text("broken\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"test\.jsonl:1"):
        answer(question)
    runs = list((question.output_dir / "refits").glob("*/run.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in runs]
    assert [record["status"] for record in records] == ["done", "done"]


def test_the_default_stands_with_its_best_run_and_the_winner_with_all_of_them(
    ask: MakeQuestion, config: Config
) -> None:
    question = ask(winner=GOOD, default=BAD)
    search = config.hyperparameter.model_copy(update={"n_refits": 2})
    two = replace(question, config=config.model_copy(update={"hyperparameter": search}))
    proof = answer(two)
    assert proof.evidence
    comparison_file = Path(proof.evidence.comparison_dir) / "comparison.json"
    comparison = json.loads(comparison_file.read_text(encoding="utf-8"))
    seeds = [config.fine_tuning.training.seed + n for n in (1, 2)]
    best = seeds[proof.default_losses.index(min(proof.default_losses))]
    assert comparison["base"].endswith(f"refits/default-seed-{best}")
    assert {name[-2:] for name in comparison["seeds"]["names"]} == {str(seed) for seed in seeds}


def test_seeds_that_the_budget_has_no_room_for_are_left_out_on_both_sides(
    ask: MakeQuestion, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    question = ask(winner=GOOD, default=BAD)
    search = config.hyperparameter.model_copy(update={"n_refits": 3})
    three = replace(question, config=config.model_copy(update={"hyperparameter": search}))
    asked: list[float] = []

    def may_refit(took_seconds: float) -> bool:
        asked.append(took_seconds)
        return len(asked) < 2

    proof = prove(three, lambda *_: None, may_refit, show_progress=False)
    assert (len(proof.winner_losses), len(proof.default_losses)) == (2, 2)
    assert "2 seeds" in proof.told
    assert "room for 2 of the 3 seeds" in caplog.text
    assert all(took > 0 for took in asked)
