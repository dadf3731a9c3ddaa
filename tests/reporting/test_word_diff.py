"""Words of an answer against those of its reference."""

import pytest

from gemtune.reporting.word_diff import Piece, closest_reference, diff_words


def test_words_of_the_answer_and_of_the_reference_alone_are_told_apart() -> None:
    assert diff_words("the card is lost", "the red card is stolen") == (
        Piece("the", "same"),
        Piece(" red", "extra"),
        Piece(" card is ", "same"),
        Piece("lost", "missing"),
        Piece("stolen", "extra"),
    )


def test_equal_texts_have_no_difference() -> None:
    assert diff_words("a b", "a b") == (Piece("a b", "same"),)


def test_the_words_of_a_label_are_compared_one_by_one() -> None:
    kinds = [piece.kind for piece in diff_words("lost_or_stolen_card", "lost_or_stolen_phone")]
    assert kinds == ["same", "missing", "extra"]


def test_an_answer_with_next_to_nothing_in_common_is_marked_as_a_whole() -> None:
    answer = "I am sorry to hear of the trouble that you have with this"
    assert diff_words("card not accepted in the shop", answer) == (Piece(answer, "extra"),)


def test_an_empty_answer_has_no_pieces() -> None:
    assert diff_words("card", "") == ()


@pytest.mark.parametrize("reference", ["a b c", "", "x " * 1_000])
@pytest.mark.parametrize("answer", ["a c", "x y " * 500, "  \n", "a\tb c"])
def test_what_is_not_missing_is_the_answer_to_the_letter(reference: str, answer: str) -> None:
    pieces = diff_words(reference, answer)
    assert "".join(piece.text for piece in pieces if piece.kind != "missing") == answer


def test_the_reference_with_most_words_in_common_is_chosen() -> None:
    assert closest_reference(["no", "the card is lost", "lost"], "my card is lost") == (
        "the card is lost"
    )
