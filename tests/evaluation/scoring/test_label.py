"""Labels: accuracy, macro F1 and the table of confusions."""

import numpy as np
import pytest

from gemtune.errors import ConfigError
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, References
from gemtune.evaluation.scoring.label import MAX_LABELS, OTHER, confusion_counts, label_family

REFERENCES = [["Yes"], ["yes"], ["no"], ["maybe"]]
PREDICTIONS = ["YES ", "no", " no\n", "I think so"]


def totals(family: Family, texts: list[str], references: References) -> np.ndarray:
    predictions = [Prediction(str(index), text) for index, text in enumerate(texts)]
    return family.statistics(predictions, references)


def test_accuracy_folds_case_and_white_space() -> None:
    family = label_family(REFERENCES)

    accuracy, _ = family.corpus(totals(family, PREDICTIONS, REFERENCES).sum(axis=0))

    assert accuracy == 0.5


def test_macro_f1_is_the_mean_over_the_labels_of_the_references() -> None:
    family = label_family(REFERENCES)

    _, macro_f1 = family.corpus(totals(family, PREDICTIONS, REFERENCES).sum(axis=0))

    # yes: one hit, one miss; no: one hit, one false alarm; maybe: one miss.
    assert macro_f1 == pytest.approx(np.mean([2 / 3, 2 / 3, 0]))


def test_a_label_that_a_resample_lacks_is_left_out_of_the_mean() -> None:
    family = label_family(REFERENCES)
    statistics = totals(family, PREDICTIONS, REFERENCES)

    _, macro_f1 = family.corpus(statistics[[0, 2]].sum(axis=0))

    assert macro_f1 == 1.0


def test_any_of_several_references_is_right() -> None:
    references = [["yes", "sure"], ["no"]]
    family = label_family(references)

    scores = family.rows(totals(family, ["Sure", "yes"], references))

    np.testing.assert_array_equal(scores, [[1, 1], [0, 0]])


def test_confusions_are_counted_under_the_names_of_the_references() -> None:
    assert confusion_counts(PREDICTIONS, REFERENCES) == {
        ("Yes", "Yes"): 1,
        ("Yes", "no"): 1,
        ("no", "no"): 1,
        ("maybe", OTHER): 1,
    }


def test_free_text_is_refused_as_labels() -> None:
    references = [[f"answer {index}"] for index in range(MAX_LABELS + 1)]

    with pytest.raises(ConfigError, match="501 different answers") as caught:
        label_family(references)

    assert "evaluation.task: text" in caught.value.fix
