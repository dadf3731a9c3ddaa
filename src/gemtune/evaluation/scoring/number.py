"""Answers that end in a number, such as those to word problems."""

import re
from collections.abc import Sequence
from decimal import Decimal

from gemtune.evaluation.scoring.family import Family, Metric, mean_family

_NUMBER = re.compile(
    r"""(?P<minus>(?<![\w)])-[^\w\s,.-]?)?       # a sign as in -5 and -$5, not the dash of 3-5
        (?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)   # 1,000
                     |\d+)(?:\.\d+)?             # 1000 or 1000.5
                   |\.\d+)                       # .5
    """,
    re.VERBOSE,
)


def number_family() -> Family:
    """1 where the last number of the answer is the last number of any reference."""
    return mean_family(
        "number",
        (Metric("number_match", is_binary=True),),
        lambda prediction, references: [number_match(prediction.text, references)],
        "last number of the answer equals that of any reference|commas, units and zeros aside|0..1",
    )


def number_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 when both end in the same number, as in "1,000" and "$1000.00"."""
    answered = last_number(prediction)
    return float(answered is not None and answered in map(last_number, references))


def last_number(text: str) -> Decimal | None:
    """The last number that stands in the text; None where there is none."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    number = Decimal(found[-1]["digits"].replace(",", ""))
    return -number if found[-1]["minus"] else number
