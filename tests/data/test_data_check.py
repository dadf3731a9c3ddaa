"""Reports on files and folders: repeated rows, overlap, extra keys, digest, token lengths."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from gemtune.data.check import check_file
from gemtune.data.duplicates import RepeatFinder
from gemtune.data.examples import EncodedRow, Example
from gemtune.data.folder import check_folder
from gemtune.data.kinds import Kind
from gemtune.data.lengths import Quantiles, measure_tokens, quantiles
from gemtune.data.load import load_examples
from gemtune.data.overlap import Overlap
from gemtune.data.problems import ProblemLog


def write_pairs(path: Path, *pairs: tuple[str, str], **more: object) -> Path:
    rows = [{"input_text": prompt, "output_text": answer} | more for prompt, answer in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_sound_file_is_counted_and_hashed(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "train.jsonl", ("one", "1"), ("two", "22"))
    report = check_file(path)
    assert (report.format, report.n_rows, report.n_examples) == ("input_output", 2, 2)
    assert (report.n_characters, report.n_errors, report.problems) == (9, 0, ())
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_repeated_rows_are_counted_and_the_first_ones_named(tmp_path: Path) -> None:
    pairs = [("q", "a"), ("q", "b"), *[("q", "a")] * 4]
    report = check_file(write_pairs(tmp_path / "f.jsonl", *pairs))
    assert report.n_repeated == 4
    [problem] = report.problems
    assert (problem.kind, problem.line) == (Kind.DUPLICATE, 3)
    assert "4 (line 3, 4, 5, ...)" in problem.message


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_repeats_are_found_within_and_across_batches(batch_rows: int) -> None:
    hashes = random.Random(1).choices(range(2**64 - 60, 2**64), k=100)
    finder = RepeatFinder(batch_rows)
    for line, content in enumerate(hashes, start=1):
        finder.add(content, line)
    finder.finish()
    repeated = [n + 1 for n, content in enumerate(hashes) if content in hashes[:n]]
    assert finder.n_repeated == len(repeated)
    assert finder.first_lines == repeated[:3]


def test_extra_keys_are_one_warning_with_a_count(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "f.jsonl", ("q", "a"), ("r", "b"), id="x", group=1, note="n")
    report = check_file(path)
    assert report.counts == {"EXTRA_KEY": 2}
    assert "2 ('note')" in report.problems[0].message


def test_test_rows_in_the_training_data_are_leaks_whatever_case_and_space(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train.jsonl", ("other", "b"), ("What  is\tit?", "A"), ("p", "x"))
    write_pairs(tmp_path / "val.jsonl", ("other", "b"))
    write_pairs(tmp_path / "test.jsonl", ("new", "a"), ("p", "y"), (" what is IT?", "a "))
    report = check_folder(tmp_path)
    assert report.overlaps == {"val": Overlap(1, 1), "test": Overlap(n_prompts=2, n_pairs=1)}
    found = [
        (p.kind.code, p.path.name, p.line, p.message.rpartition("/")[2]) for p in report.problems
    ]
    assert found == [
        ("E131", "test.jsonl", 3, "train.jsonl:2"),
        ("W132", "val.jsonl", 1, "train.jsonl:1"),
        ("W132", "test.jsonl", 2, "train.jsonl:3"),
    ]
    assert (report.n_errors, report.n_leaks) == (0, 1)


def test_every_overlapping_row_is_counted_and_the_first_five_are_shown(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train.jsonl", ("q", "a"))
    write_pairs(tmp_path / "test.jsonl", *[("q", "a")] * 8)
    report = check_folder(tmp_path)
    assert (report.n_leaks, len(report.problems)) == (8, 6)
    assert "and 3 more rows" in report.problems[-1].message


def encode_words(example: Example) -> EncodedRow:
    """Take every word as a token, at most four a row."""
    prompt = example.messages[0].content.split()
    tokens = [*prompt, *example.completion.split()]
    trained = [index >= len(prompt) for index in range(len(tokens))]
    return EncodedRow(range(len(tokens[:4])), trained[:4], len(tokens) > 4, min(len(prompt), 4))


def test_token_lengths_cuts_and_rows_without_a_target_are_reported(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "f.jsonl", ("a", "b"), ("a b", "c d e"), ("a b c d", "e"))
    log = ProblemLog()
    lengths = measure_tokens(path, encode_words, log)
    assert lengths is not None
    assert lengths.prompt == Quantiles(p50=2, p90=4, p99=4, max=4)
    assert lengths.completion == Quantiles(p50=1, p90=2, p99=2, max=2)
    assert (lengths.n_tokens, lengths.n_trained_tokens, lengths.n_truncated) == (10, 3, 2)
    found = [(problem.kind, problem.line) for problem in log.problems()]
    assert found == [(Kind.NO_TARGET_TOKENS, 3), (Kind.LONG, 2)]
    assert log.counts[Kind.LONG] == 2


def test_quantiles_are_lengths_that_occur() -> None:
    assert quantiles(list(range(1, 101))) == Quantiles(p50=50, p90=90, p99=99, max=100)
    assert quantiles([7]) == Quantiles(p50=7, p90=7, p99=7, max=7)


DATASETS = Path(__file__).parents[3] / "shared" / "datasets"


@pytest.mark.skipif(not DATASETS.is_dir(), reason="../shared/datasets is not there")
@pytest.mark.parametrize("name", ["banking77", "e2e", "gsm8k", "mts_dialog", "snips"])
def test_real_data_sets_load(name: str) -> None:
    examples = load_examples(DATASETS / name / "test.jsonl")
    assert len(examples) >= 200
    assert all(example.id for example in examples)
