"""Words as the Java tokenizer of the COCO metrics cuts them; expectations come from its jar."""

import pytest

from gemtune.evaluation.scoring.e2e.ptb_tokens import ptb_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Mill is a pub, near Caf\u00e9 Rouge.", "the mill is a pub near caf\u00e9 rouge"),
        ("It isn't child-friendly; it can't be!", "it is n't child-friendly it ca n't be"),
        ("The Punter's price: \u00a320-25.", "the punter 's price # 20-25"),
        ("20\u00a3-25", "20 # -25"),
        ("less than 20GBP, 5out of 5", "less than 20gbp 5out of 5"),
        ("in the city center., close", "in the city center. close"),
        ("A (late) pub & bar", "a -lrb- late -rrb- pub & bar"),
        ("[x] {y} 50%", "-lsb- x -rsb- -lcb- y -rcb- 50 %"),
        ("don\u2019t \u201cquote\u201d me \u2026", "do n't quote me"),
        ("I cannot, I'm gonna", "i can not i 'm gon na"),
        ("e.g. this, i.e., that", "e.g. this i.e. that"),
        ("U.S. at 5 p.m.", "u.s. at 5 p.m."),
        ("Mr. Smith, Inc. and St. Mary", "mr. smith inc. and st. mary"),
        ("hors d'oeuvre at 5 o'clock", "hors d'oeuvre at 5 o'clock"),
        ("$5.00 1,000 10:30pm 3/4 1-1/2", "$ 5.00 1,000 10:30 pm 3/4 1-1/2"),
        ("AT&T and bar/grill", "at&t and bar/grill"),
        ("the '90s, the 90's", "the '90s the 90 's"),
        ("'Single' -- dash - and --- more", "single dash and more"),
        ("a 10,000-hour walk, 0.5-1.0 mile", "a 10,000-hour walk 0.5-1 .0 mile"),
        ("mail foo@bar.com or http://a.b/c?d=1", "mail foo@bar.com or http://a.b/c?d=1"),
        ("", ""),
        (" \n\t ", ""),
        (". , ; ' \" ...", ""),
    ],
)
def test_words_are_those_of_the_jar(text: str, words: str) -> None:
    assert ptb_words(text) == words


def test_any_text_is_cut_without_losing_letters() -> None:
    text = "\u4f60\u597d \U0001f600 \ud800 \u0663 x\x00y"

    assert "".join(ptb_words(text).split()) == "".join(text.split())
