"""The answer is a reference, letter by letter."""

from collections.abc import Sequence

from gemtune.evaluation.scoring.family import Family, Metric, mean_family


def exact_match_family() -> Family:
    """1 where the answer is any of the references, white space folded and case kept."""
    return mean_family(
        "exact_match",
        (Metric("exact_match", is_binary=True),),
        lambda prediction, references: [exact_match(prediction.text, references)],
        "white space folded|case kept|any reference|0..1",
    )


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 when the prediction is a reference, white space folded and case kept."""
    return float(folded(prediction) in {folded(reference) for reference in references})


def folded(text: str) -> str:
    """One space for any white space, none at the ends."""
    return " ".join(text.split())
