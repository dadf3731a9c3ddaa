"""The sample task: read a customer's message, write the line that the service desk works on.

A pure function of a seed, with no network and no clock, so that everybody trains on the same bytes.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gemtune.data.sample_phrases import (
    ACTIONS,
    DEADLINES,
    GREETINGS,
    ITEMS,
    LAYOUTS,
    ORDERS,
    PROBLEMS,
    WISHES,
    WRITERS,
    Phrases,
)

N_ROWS = {"train": 240, "val": 40, "test": 80}

_HELD_OUT_SHARE = 0.3  # of the phrases of a test ticket
_CASUAL_SHARE = 0.2  # of the customers write without capitals
_TYPO_SHARE = 0.3  # of the messages have two letters swapped
_MONTHS = "January February March April May June July August September October November December"
_ORDER_SHAPES = ("{0}{1}", "{0}-{1}", "{0} {1}")
_DATE_SHAPES = ("{month} {day}", "{day} {month}", "{day} {month:.3}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One message with its answer, and the phrases behind it with their slots still open."""

    layout: str
    item: str
    problem: str
    wish: str
    input_text: str
    output_text: str

    @property
    def combinations(self) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
        """What no other split may repeat: a sentence with its item, inside a layout or a wish."""
        return (self.problem, self.item, self.wish), (self.problem, self.item, self.layout)


def make_sample_splits(seed: int = 0) -> dict[str, list[dict[str, str]]]:
    """Make the rows of `train`, `val` and `test`: `id`, `input_text` and `output_text`."""
    return {
        split: [
            {
                "id": f"{split}-{number:03d}",
                "input_text": ticket.input_text,
                "output_text": ticket.output_text,
            }
            for number, ticket in enumerate(tickets, start=1)
        ]
        for split, tickets in draw_tickets(seed).items()
    }


def sample_files(seed: int = 0) -> dict[str, str]:
    """Return the text of one JSONL file for each split, by file name."""
    return {
        f"{split}.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows)
        for split, rows in make_sample_splits(seed).items()
    }


def write_sample_data(folder: Path, seed: int = 0) -> list[Path]:
    """Write one JSONL file for each split into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / name: text for name, text in sample_files(seed).items()}
    for path, text in texts.items():
        # Half a file would pass for somebody's own data at the next start.
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, "utf-8", newline="\n")
        partial.replace(path)
    return list(texts)


def draw_tickets(seed: int = 0) -> dict[str, list[Ticket]]:
    """Draw the tickets of all splits; order numbers and combinations are never shared by two."""
    rng = Random(seed)
    orders = iter(rng.sample(range(1000, 10000), sum(N_ROWS.values())))
    taken: set[tuple[str, str, str]] = set()
    tickets = {}
    # The test split goes first: it holds the phrases that the others lack, and needs the most room.
    for split in ("test", "val", "train"):
        held_out_share = _HELD_OUT_SHARE if split == "test" else 0.0
        tickets[split] = [
            _draw_unlike(taken, rng, str(next(orders)), held_out_share)
            for _ in range(N_ROWS[split])
        ]
        taken.update(pair for ticket in tickets[split] for pair in ticket.combinations)
    return {split: tickets[split] for split in N_ROWS}


def _draw_unlike(
    taken: set[tuple[str, str, str]], rng: Random, order: str, held_out_share: float
) -> Ticket:
    while True:
        ticket = _draw_ticket(rng, order, held_out_share)
        if taken.isdisjoint(ticket.combinations):
            return ticket


def _draw_ticket(rng: Random, order: str, held_out_share: float) -> Ticket:
    def choose(phrases: Phrases) -> str:
        pool = phrases.held_out if rng.random() < held_out_share else phrases.shared
        return rng.choice(pool)

    issue = rng.choice(tuple(PROBLEMS))
    action = rng.choice(ACTIONS[issue])
    urgency = rng.choice(tuple(DEADLINES))
    date, due = _draw_date(rng) if urgency == "date" else ("", urgency)
    layout, greeting, writer = choose(LAYOUTS), choose(GREETINGS), choose(WRITERS)
    item, problem, wish = choose(ITEMS), choose(PROBLEMS[issue]), choose(WISHES[action])
    message = layout.format(
        greeting=greeting,
        writer=writer,
        problem=_mistype(rng, problem).format(item=item),
        wish=_mistype(rng, wish),
        deadline=choose(DEADLINES[urgency]).format(date=date),
        order=choose(ORDERS).format(order=rng.choice(_ORDER_SHAPES).format(order[:2], order[2:])),
    )
    message = message.lower() if rng.random() < _CASUAL_SHARE else _capitalize(message)
    return Ticket(
        layout=layout,
        item=item,
        problem=problem,
        wish=wish,
        input_text=f"Ticket: {message}",
        output_text=" | ".join(
            (
                f"item: {item}",
                f"issue: {issue}",
                f"order: {order}",
                f"action: {action}",
                f"due: {due}",
            )
        ),
    )


def _draw_date(rng: Random) -> tuple[str, str]:
    """Draw a day as the customer writes it and as the desk files it, month first."""
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    written = rng.choice(_DATE_SHAPES).format(month=_MONTHS.split()[month - 1], day=day)
    return written, f"{month:02d}-{day:02d}"


def _mistype(rng: Random, phrase: str) -> str:
    words = re.findall(r"\b[a-z]{5,}\b", phrase)
    if not words or rng.random() >= _TYPO_SHARE / 2:
        return phrase
    word = rng.choice(words)
    cut = rng.randint(1, len(word) - 3)
    swapped = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return phrase.replace(word, swapped, 1)


def _capitalize(message: str) -> str:
    return re.sub(r"(?:^|[.!?:] )[a-z]", lambda match: match[0].upper(), message)
