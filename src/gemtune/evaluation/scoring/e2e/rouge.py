"""ROUGE-L as the caption metrics of MS COCO compute it; not the `rougeL` of `rouge_score`.

The best precision and the best recall may come from different references, and recall weighs more.
Source: Chen et al. 2015, arXiv:1504.00325, section 3.2.
"""

from collections.abc import Sequence

from gemtune.evaluation.scoring.e2e.ptb_tokens import ptb_words
from gemtune.evaluation.scoring.family import Family, Metric, mean_family

BETA = 1.2


def coco_rouge_family() -> Family:
    """F of the longest common subsequence of words, 0 to 1."""
    return mean_family(
        "coco_rougeL",
        (Metric("coco_rougeL"),),
        lambda prediction, references: [coco_rouge(prediction.text, references)],
        "pycocoevalcap 1.2|PTB words, lowercase, no punctuation|beta 1.2|best P, best R|0..1",
    )


def coco_rouge(prediction: str, references: Sequence[str]) -> float:
    """Score one answer against its accepted texts."""
    answered = ptb_words(prediction).split(" ")
    wanted = [ptb_words(text).split(" ") for text in references]
    common = [longest_common_subsequence(words, answered) for words in wanted]
    precision = max(common) / len(answered)
    recall = max(n_common / len(words) for n_common, words in zip(common, wanted, strict=True))
    if not max(common):
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Source: Hyyro 2004, "Bit-parallel LCS-length computation revisited": a row of the usual table is
    one integer, whose zero bits are the places where the length grows.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = (1 << len(first)) - 1
    row = everywhere
    for word in second:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & everywhere
    return len(first) - row.bit_count()
