"""The metrics of a test set: by task, by config, and what cannot be chosen."""

from typing import Any

import pytest

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example, Message
from gemtune.errors import ConfigError
from gemtune.evaluation.scoring.choose import choose_scorer
from gemtune.evaluation.scoring.scorer import Scorer

FIRST = ["rouge1", "rouge2", "rougeL", "bleu"]
OF_EVERY_TASK = ["exact_match", "chrf", "loss", "perplexity", "length_ratio", "distinct_2"]
TEXTS = ["The pub is cheap.", "It is by the river, and no child may enter."]


def examples(completions: list[str]) -> list[Example]:
    return [
        Example((Message("user", "?"), Message("assistant", text)), id=f"row-{index}")
        for index, text in enumerate(completions)
    ]


def choose(completions: list[str], *, with_loss: bool = True, **keys: Any) -> Scorer:
    return choose_scorer(examples(completions), EvaluationConfig(**keys), with_loss=with_loss)


def names(scorer: Scorer) -> list[str]:
    return [metric.name for metric in scorer.metrics]


@pytest.mark.parametrize(
    ("completions", "task", "own", "primary"),
    [
        (TEXTS, "text", [], "rougeL"),
        (["yes", "yes", "no", "no"], "label", ["accuracy", "macro_f1"], "accuracy"),
        (['{"a": 1}'], "json", ["json_valid", "json_field_f1", "json_exact"], "json_field_f1"),
        (["#### 5"], "number", ["number_match"], "number_match"),
    ],
)
def test_each_task_has_its_metrics_and_one_that_decides(
    completions: list[str], task: str, own: list[str], primary: str
) -> None:
    scorer = choose(completions)

    assert scorer.task == task
    assert names(scorer) == [*FIRST, *own, *OF_EVERY_TASK]
    assert scorer.primary_metrics == (primary,)


def test_the_config_has_the_last_word_on_the_task() -> None:
    scorer = choose(["yes", "yes", "no", "no"], task="text")

    assert scorer.task == "text"
    assert "accuracy" not in names(scorer)


def test_without_a_model_there_is_no_loss() -> None:
    assert not {"loss", "perplexity"} & set(names(choose(TEXTS, with_loss=False)))


@pytest.mark.parametrize("keys", [{"metrics": ["loss"]}, {"primary_metric": "perplexity"}])
def test_a_loss_that_nobody_knows_cannot_be_asked_for(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="'loss' needs a model"):
        choose(TEXTS, with_loss=False, **keys)


def test_named_metrics_replace_those_of_the_task_but_not_the_first_four() -> None:
    scorer = choose(TEXTS, metrics=["chrf"])

    assert names(scorer) == [*FIRST, "chrf"]


def test_families_sets_and_metrics_are_all_names_and_nothing_comes_twice() -> None:
    scorer = choose(TEXTS, metrics=["rougeL", "e2e", "nist", "macro_f1", "label"])

    assert names(scorer) == [
        *FIRST,
        *["e2e_bleu", "nist", "coco_rougeL", "cider"],
        *["accuracy", "macro_f1"],
    ]


def test_primary_metrics_are_computed_even_if_not_listed() -> None:
    scorer = choose(TEXTS, metrics=[], primary_metric=["cider", "bleu", "cider"])

    assert scorer.primary_metrics == ("cider", "bleu")
    assert names(scorer) == [*FIRST, "cider"]


@pytest.mark.parametrize(
    ("keys", "message", "fix"),
    [
        ({"metrics": ["chrff"]}, "evaluation.metrics: .*'chrff'; did you mean 'chrf'", "meteor"),
        ({"metrics": ["rouge-1"]}, "'rouge-1'; did you mean 'rouge1'", "rouge, bleu"),
        ({"metrics": ["zzz"]}, "no metric 'zzz'$", "e2e"),
        (
            {"primary_metric": "acuracy"},
            "evaluation.primary_metric: .*did you mean 'accuracy'",
            "macro_f1",
        ),
        ({"primary_metric": "e2e"}, "no metric 'e2e'", "cider"),
        ({"primary_metric": []}, "empty list", "rougeL"),
        ({"primary_metric": "length_ratio"}, "'length_ratio' cannot decide", "rougeL"),
        ({"primary_metric": ["rougeL", "distinct_2"]}, "'distinct_2' cannot decide", "rougeL"),
    ],
)
def test_what_cannot_be_chosen_is_said_with_the_nearest_choice_and_all_of_them(
    keys: dict[str, Any], message: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        choose(TEXTS, **keys)

    assert fix in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_forced_task_must_fit_the_references() -> None:
    with pytest.raises(ConfigError, match=r"'json'.*row 'row-0'"):
        choose(TEXTS, task="json")


def test_accepted_answers_of_the_whole_test_set_make_the_metrics() -> None:
    scorer = choose(["yes", "yes", "no", "no"])

    assert "2 labels" in scorer.signatures([["yes"]])["accuracy"]
