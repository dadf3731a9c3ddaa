"""Metrics of other packages, as really installed distributions."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example, Message
from gemtune.errors import ConfigError
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.choose import choose_scorer
from gemtune.evaluation.scoring.scorer import Scorer

EXAMPLES = [
    Example((Message("user", "?"), Message("assistant", text)), id=f"row-{index}")
    for index, text in enumerate(["one", "three four"])
]
PREDICTIONS = [Prediction("row-0", "One"), Prediction("row-1", "")]
MODULE = "rival_metrics"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with this module and its metrics, for the length of the test."""

    def write(source: str, **metrics: str) -> None:
        (tmp_path / f"{MODULE}.py").write_text(source, encoding="utf-8")
        folder = tmp_path / "rival_metrics-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: rival-metrics\nVersion: 1.2\n", encoding="utf-8"
        )
        lines = [f"{name} = {value}" for name, value in metrics.items()]
        text = "\n".join(["[gemtune.metrics]", *lines, ""])
        (folder / "entry_points.txt").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    yield write
    sys.modules.pop(MODULE, None)


def choose(**keys: object) -> Scorer:
    return choose_scorer(EXAMPLES, EvaluationConfig.model_validate(keys), with_loss=False)


def score(scorer: Scorer) -> float:
    references = [[example.completion] for example in EXAMPLES]
    totals = scorer.statistics(PREDICTIONS, references).sum(axis=0)
    return float(scorer.corpus(totals)[-1])


def test_an_installed_metric_is_found_by_name_and_averaged(install: Install) -> None:
    install(
        "def letters(prediction, references):\n"
        "    return len(prediction) / max(map(len, references))\n",
        letters=f"{MODULE}:letters",
    )

    scorer = choose(metrics=["letters"])

    assert [metric.name for metric in scorer.metrics][4:] == ["letters"]
    assert score(scorer) == pytest.approx((3 / 3 + 0) / 2)
    signature = scorer.signatures([["x"]])["letters"]
    assert signature == "plugin rival_metrics:letters of rival-metrics 1.2|mean over rows"


def test_a_plugin_may_decide_and_may_say_that_lower_is_better(install: Install) -> None:
    install(
        "def errors(prediction, references):\n    return 1\nerrors.higher_is_better = False\n",
        errors=f"{MODULE}:errors",
    )

    scorer = choose(primary_metric="errors")

    assert scorer.primary_metrics == ("errors",)
    assert not scorer.metrics[-1].higher_is_better


def test_a_plugin_that_is_not_asked_for_is_not_loaded(install: Install) -> None:
    install("raise RuntimeError('loaded')\n", letters=f"{MODULE}:letters")

    choose()

    assert MODULE not in sys.modules


def test_a_misspelt_plugin_is_suggested(install: Install) -> None:
    install("def letters(prediction, references):\n    return 1\n", letters=f"{MODULE}:letters")

    with pytest.raises(ConfigError, match="did you mean 'letters'") as caught:
        choose(metrics=["leters"])

    assert "letters" in caught.value.fix


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import nowhere_to_be_found\n", "cannot be loaded: ModuleNotFoundError"),
        ("1 / 0\n", "cannot be loaded: ZeroDivisionError"),
        ("other = 1\n", "cannot be loaded: AttributeError"),
        ("letters = 3\n", "is no function but int"),
        (
            "def letters(answer, references):\n    return 1\nletters.higher_is_better = None\n",
            "has higher_is_better = None, not True or False",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named_before_anything_is_scored(
    install: Install, source: str, what: str
) -> None:
    install(source, letters=f"{MODULE}:letters")

    with pytest.raises(ConfigError, match=f"'letters'.*rival-metrics 1.2.* {what}") as caught:
        choose(metrics=["letters"])

    assert "evaluation.metrics" in caught.value.fix


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return len(prediction) / (len(prediction) - len('One'))", "failed .* ZeroDivisionError"),
        ("return float('nan')", "returned nan"),
        ("return float('inf')", "returned inf"),
        ("return None", "returned None"),
        ("return '1'", "returned '1'"),
        ("return [0.5, 0.5]", "returned"),
    ],
)
def test_a_plugin_that_fails_names_itself_and_the_row(
    install: Install, body: str, what: str
) -> None:
    install(
        f"def letters(prediction, references):\n    {body}\n",
        letters=f"{MODULE}:letters",
    )
    scorer = choose(metrics=["letters"])

    with pytest.raises(ConfigError, match=f"'letters'.*{what}") as caught:
        score(scorer)

    assert "'row-0'" in str(caught.value)


def test_a_plugin_must_not_take_the_name_of_a_metric_of_ours(install: Install) -> None:
    install("def bleu(prediction, references):\n    return 1\n", bleu=f"{MODULE}:bleu")

    with pytest.raises(ConfigError, match=r"'bleu'.*has the name of a metric of gemtune"):
        choose()
