"""Examples out of a data file: all of them or one `DataError` with everything that is wrong."""

from collections.abc import Iterator
from pathlib import Path

from gemtune.data.detection import choose_format
from gemtune.data.examples import Example
from gemtune.data.formats import parse_example
from gemtune.data.problems import BadInput
from gemtune.data.reader import FileScan, read_rows


def load_examples(path: Path) -> list[Example]:
    """Read all examples of a JSONL file in any of the four formats.

    Raises:
        DataError: The file has errors; the message lists the first 50 as file:line:col.
    """
    return list(read_examples(path))


def read_examples(path: Path) -> Iterator[Example]:
    """Yield the examples of a file one by one, in bounded memory.

    Raises:
        DataError: After the last good row, if the file has errors.
    """
    scan = FileScan(path)
    yield from scan_examples(scan)
    scan.log.raise_errors(path)


def scan_examples(scan: FileScan) -> Iterator[Example]:
    """Yield the good rows of a file as examples; the problems of the others go to `scan.log`.

    The first good row decides the format of the file.
    """
    for line, row in read_rows(scan):
        try:
            name = choose_format(row, scan.format)
            example = parse_example(row, name, scan.path, line)
        except BadInput as bad:
            scan.log.add(bad.at(scan.path, line))
            continue
        scan.format = name
        yield example
