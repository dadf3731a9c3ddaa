"""Every error has an exit code, a place in the drawn tree, and survives a process border."""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemtune import errors
from gemtune.errors import GemtuneError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "exit_codes.md"


def family(parent: type[GemtuneError]) -> Iterator[type[GemtuneError]]:
    yield parent
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from family(child)


ALL = list(family(GemtuneError))


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_a_process_border(kind: type[GemtuneError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what and where", fix="what to do")))
    assert type(copy) is kind
    assert (str(copy), copy.fix) == ("what and where", "what to do")


@pytest.mark.parametrize("kind", ALL)
def test_an_error_is_drawn_in_the_tree_with_its_exit_code(kind: type[GemtuneError]) -> None:
    drawn = re.search(rf"\b{kind.__name__}( \(\w+\))? +(\d+) ", errors.__doc__ or "")
    assert drawn
    assert int(drawn[2]) == kind.exit_code


@pytest.mark.parametrize("kind", ALL)
def test_the_page_of_exit_codes_names_the_error(kind: type[GemtuneError]) -> None:
    row = f"| {kind.exit_code} |"
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(row)]
    assert len(rows) == 1
    assert kind is GemtuneError or f"`{kind.__name__}`" in rows[0]


@pytest.mark.parametrize("kind", ALL[1:])
def test_a_caller_may_catch_the_standard_class(kind: type[GemtuneError]) -> None:
    standard = (ValueError, ArithmeticError, RuntimeError)
    assert issubclass(kind, standard)
