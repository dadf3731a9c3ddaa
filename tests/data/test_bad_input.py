"""Every row of the bad-input table: which kind, at which line and column, all in one pass."""

import gzip
import json
import os
from pathlib import Path

import pytest

from gemtune.data.check import check_file
from gemtune.data.kinds import Kind
from gemtune.data.load import load_examples, scan_examples
from gemtune.data.reader import FileScan
from gemtune.errors import DataError

GOOD = [json.dumps({"input_text": f"q {i}", "output_text": f"a {i}"}) for i in range(10)]


def joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def with_line_7(line: str) -> bytes:
    return joined([*GOOD[:6], line, *GOOD[7:]])


def row(**values: object) -> str:
    return json.dumps({"input_text": "q 6", "output_text": "a 6"} | values)


def chat(*turns: tuple[str, object], **more: object) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages} | more)


LINE_7 = {
    "cut line": ('{"input_text": "q 6", "output_text": "a 6"', "E101", 43),
    "garbage": ("not json at all", "E101", 1),
    "tab inside a string": ('{"input_text": "q\t6", "output_text": "a"}', "E101", 18),
    "array": ('["a","b"]', "E102", None),
    "string": ('"text"', "E102", None),
    "number": ("7", "E102", None),
    "duplicate key": ('{"input_text":"q","output_text":"a","output_text":"b"}', "E103", None),
    "missing key": ('{"input_text": "q 6"}', "E110", None),
    "misnamed key": ('{"input_text": "q 6", "output": "a"}', "E110", None),
    "null target": (row(output_text=None), "E112", None),
    "int target": (row(output_text=42), "E112", None),
    "list target": (row(output_text=["a"]), "E112", None),
    "NaN literal": ('{"input_text":"q 6 NaN","output_text":NaN}', "E112", 39),
    "number beyond all bounds": (row(note=1).replace("1}", "1e999}"), "E112", 53),
    "integer of 5000 digits": (row(note=1).replace("1}", "1" * 5000 + "}"), "E112", 53),
    "boolean id": (row(id=True), "E112", None),
    "fractional id": (row(id=1.5), "E112", None),
    "references are no list": (row(references="a"), "E112", None),
    "empty target": (row(output_text=""), "E113", None),
    "blank prompt": (row(input_text=" \u00a0\t"), "E113", None),
    "lone surrogate": ('{"input_text":"\\\\q \\ud800 6","output_text":"a"}', "E123", 20),
    "NUL escape": ('{"input_text":"\\\\u0000 \\u0000","output_text":"a"}', "W125", 24),
    "blank line": ("  ", "W122", None),
    "two objects": (f"{GOOD[6]} {GOOD[7]}", "E140", len(GOOD[6]) + 2),
    "nesting": ('{"input_text":' + "[" * 20_000 + "]" * 20_000 + "}", "E142", 114),
    "another format": ('{"prompt": "q 6", "completion": "a 6"}', "E160", None),
    "more than 10 MiB": (row(output_text="x" * (10 << 20)), "E116", None),
}


@pytest.mark.parametrize(("line", "code", "column"), LINE_7.values(), ids=LINE_7)
def test_a_bad_line_7_is_reported_with_its_kind_and_place(
    tmp_path: Path, line: str, code: str, column: int | None
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(with_line_7(line))
    found = [
        (problem.kind.code, problem.line, problem.column) for problem in check_file(path).problems
    ]
    assert found == [(code, 7, column)]


CHAT_LINE = {
    "unknown role": (chat(("human", "q"), ("assistant", "a")), "E161", "did you mean 'user'?"),
    "no user": (chat(("assistant", "a")), "E162", "order the turns"),
    "two users": (chat(("user", "q"), ("user", "q"), ("assistant", "a")), "E162", "order"),
    "no answer": (chat(("user", "q"), ("assistant", "a"), ("user", "q")), "E162", "order"),
    "late system": (chat(("user", "q"), ("system", "s"), ("assistant", "a")), "E162", "order"),
    "only a system message": (chat(("system", "s")), "E162", "order"),
    "no messages": ('{"messages": []}', "E113", "text"),
    "messages is no list": ('{"messages": "hi"}', "E112", "type"),
    "turn is no object": ('{"messages": ["hi"]}', "E112", "type"),
    "role is null": ('{"messages": [{"role": null, "content": "a"}]}', "E112", "type"),
    "empty turn": (chat(("user", " "), ("assistant", "a")), "E113", "text"),
    "tools": (chat(("user", "q"), ("assistant", "a"), tools=[]), "E163", "text only"),
    "image": (
        chat(("user", [{"type": "image_url", "image_url": {}}]), ("assistant", "a")),
        "E163",
        "text only",
    ),
    "tool call": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": []}]}',
        "E163",
        "text only",
    ),
    "part without a text": (chat(("user", [{"type": "text"}]), ("assistant", "a")), "E112", "type"),
    "Gemini call": (
        '{"contents": [{"role": "user", "parts": [{"functionCall": {}}]}]}',
        "E163",
        "text only",
    ),
    "Gemini role": (
        '{"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}',
        "E161",
        "did you mean 'model'?",
    ),
    "snake case system": ('{"contents": [], "system_instruction": {}}', "E163", "text only"),
    "long completion": (
        json.dumps(
            {
                "prompt": [{"role": "user", "content": "q"}],
                "completion": [{"role": "assistant", "content": "a"}] * 2,
            }
        ),
        "E162",
        "order",
    ),
    "two formats at once": (row(messages=[]), "E165", "keep the keys of one format"),
    "keys of no format": ('{"question": "q", "answer": "a"}', "E110", "rename 'question' to 'inp"),
    "a typing error": (
        '{"prompts": "q", "completion": "a"}',
        "E110",
        "rename 'prompts' to 'prompt'",
    ),
}


@pytest.mark.parametrize(("line", "code", "fix"), CHAT_LINE.values(), ids=CHAT_LINE)
def test_a_row_that_its_format_does_not_allow_is_reported_with_a_fix(
    tmp_path: Path, line: str, code: str, fix: str
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(line)
    [problem] = check_file(path).problems
    assert (problem.kind.code, problem.line) == (code, 1)
    assert fix in problem.fix


UMLAUT = '{"input_text": "\u00fcber", "output_text": "a"}\n'
WHOLE_FILE = {
    "non-UTF-8 bytes": (joined(GOOD).replace(b"q 6", b"q \xff\xfe6"), "E120", 7, 19),
    "Latin-1": (UMLAUT.encode("latin-1"), "E120", 1, 17),
    "UTF-16": (joined(GOOD).decode().encode("utf-16"), "E121", None, None),
    "UTF-16 without a mark": (joined(GOOD).decode().encode("utf-16-le"), "E121", None, None),
    "raw NUL": (joined(GOOD).replace(b"q 6", b"q \x006"), "E124", 7, 19),
    "cut last line": (joined(GOOD)[:-9], "E101", 10, len(GOOD[9]) - 7),
    "pretty JSON": (json.dumps(json.loads(GOOD[0]), indent=2).encode(), "E140", 1, 1),
    "JSON array": (f"[{', '.join(GOOD)}]".encode(), "E140", 1, 1),
    "JSON array over lines": (f"[\n{','.join(GOOD)}\n]".encode(), "E140", 1, 1),
    "gzip": (gzip.compress(joined(GOOD)), "E141", None, None),
    "empty file": (b"", "E150", None, None),
    "only a mark": (b"\xef\xbb\xbf", "E150", None, None),
}


@pytest.mark.parametrize(("content", "code", "line", "column"), WHOLE_FILE.values(), ids=WHOLE_FILE)
def test_a_bad_file_is_reported_with_its_kind_and_place(
    tmp_path: Path, content: bytes, code: str, line: int | None, column: int | None
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    errors = [problem for problem in check_file(path).problems if problem.kind.severity == "error"]
    assert [(p.kind.code, p.line, p.column) for p in errors] == [(code, line, column)]


GOOD_FILES = {
    "BOM": b"\xef\xbb\xbf" + joined(GOOD),
    "CRLF": joined(GOOD).replace(b"\n", b"\r\n"),
    "no final newline": joined(GOOD)[:-1],
    "BOM, CRLF and no final newline": b"\xef\xbb\xbf" + b"\r\n".join(map(str.encode, GOOD)),
}


@pytest.mark.parametrize("content", GOOD_FILES.values(), ids=GOOD_FILES)
def test_harmless_differences_are_accepted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    assert [example.completion for example in load_examples(path)] == [f"a {i}" for i in range(10)]


def test_paths_that_are_no_readable_file_have_their_own_kinds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    (tmp_path / "train.jsonl").write_text(GOOD[0])
    names = ["missing.jsonl", "pipe.jsonl", "loop.jsonl", "", "traim.jsonl"]
    found = [check_file(tmp_path / name).problems[0] for name in names]
    assert [problem.kind.code for problem in found] == ["E151", "E152", "E153", "E152", "E151"]
    assert found[-1].fix == f"did you mean {tmp_path / 'train.jsonl'}?"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(GOOD[0])
    path.chmod(0)
    assert check_file(path).problems[0].kind is Kind.UNREADABLE


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_an_error_while_reading_is_an_error_of_the_file() -> None:
    [problem] = check_file(Path("/proc/self/mem")).problems
    assert problem.kind is Kind.UNREADABLE
    assert "Input/output error" in problem.message


def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(joined(GOOD))
    scan = FileScan(path)
    examples = scan_examples(scan)
    next(examples)
    with path.open("a") as file:
        file.write(GOOD[0] + "\n")
    list(examples)
    assert scan.log.counts[Kind.CHANGED] == 1


def test_one_pass_reports_all_errors_in_the_order_of_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    lines = [line for line, _, _ in LINE_7.values()]
    path.write_bytes(joined([GOOD[0], *lines]))
    codes = [code for _, code, _ in LINE_7.values()]
    report = check_file(path)
    errors = [p for p in report.problems if p.kind.severity == "error"]
    assert [p.kind.code for p in errors] == [code for code in codes if code.startswith("E")]
    assert [p.line for p in errors] == sorted(p.line or 0 for p in errors)


def test_the_first_50_errors_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(joined([*[""] * 60, *["broken"] * 120, GOOD[0]]))
    report = check_file(path)
    assert report.counts == {"BLANK": 60, "JSON_SYNTAX": 120}
    assert sum(problem.kind is Kind.JSON_SYNTAX for problem in report.problems) == 50


def test_loading_a_broken_file_raises_all_errors_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(joined([GOOD[0], "broken", row(output_text=""), *["[]"] * 60]))
    with pytest.raises(DataError) as caught:
        load_examples(path)
    message = str(caught.value)
    assert message.startswith(f"62 problems in {path}\n{path}:2:1 E101 JSON_SYNTAX ")
    assert f"\n{path}:3 E113 EMPTY 'output_text' holds no text - write the text" in message
    assert message.endswith("... and 12 more")
    assert caught.value.exit_code == 3
    assert caught.value.fix.endswith(f"gemtune data check {path}")


def test_every_kind_has_a_code_that_tells_its_severity() -> None:
    assert len({kind.code for kind in Kind}) == len(Kind)
    assert all((kind.code[0] == "W") == (kind.severity == "warning") for kind in Kind)
