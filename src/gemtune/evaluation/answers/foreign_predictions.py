"""Answers in the files of other tools: samples of lm-eval, batch predictions of Vertex AI.

Formats: `SampleResult` of lm-eval 0.4.13 (written by `--log_samples`), and the JSON lines that a
batch prediction job of a Gemini model leaves in its bucket.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gemtune.data.detection import choose_format
from gemtune.data.formats import parse_example
from gemtune.data.problems import BadInput
from gemtune.errors import DataError
from gemtune.evaluation.answers.alignment import FoundAnswer
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.test_set import input_text

_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}


def read_lm_eval_sample(record: Mapping[str, Any], path: Path, line: int) -> FoundAnswer:
    """Read one line of `samples_*.jsonl`; what the filter left counts as the answer.

    Raises:
        DataError: It is not the answer of a task that generates text.
    """
    place = f"{path}:{line}"
    match record:
        case {"doc": dict(doc), "filtered_resps": [str(text)]}:
            pass
        case {"doc": dict(doc), "filtered_resps": [[str(text)]]}:
            pass
        case _:
            raise DataError(
                f"{place}: not one generated text in 'filtered_resps'",
                fix="give the samples of a task with output_type generate_until, one answer a row",
            )
    return FoundAnswer(
        line,
        Prediction("", text.strip()),
        id=_id_in(doc, ("id",)),
        input=_input_of_row(doc, path, line),
        texts=(*_prompt_of_sample(record), *_texts_in(doc)),
    )


def read_vertex_line(record: Mapping[str, Any], path: Path, line: int) -> FoundAnswer:
    """Read one line of a batch prediction; an answer that was withheld is an empty one.

    Raises:
        DataError: The request failed, or its answer is not text.
    """
    place = f"{path}:{line}"
    response, failure = record.get("response"), record.get("status") or record.get("error")
    if failure or not isinstance(response, dict):
        raise DataError(
            f"{place}: this request has no answer: {str(failure or 'no response')[:200]}",
            fix="run the batch again for the rows that failed; an error is no answer to score",
        )
    text, reason = _first_candidate(response, place)
    usage = response.get("usageMetadata")
    n_tokens = usage.get("candidatesTokenCount") if isinstance(usage, dict) else None
    prediction = Prediction(
        "", text.strip(), n_tokens if type(n_tokens) is int else None, finish_reason=reason
    )
    request = record.get("request")
    asked = _input_of_request(request, path, line) if isinstance(request, dict) else None
    return FoundAnswer(line, prediction, _id_in(record, ("id", "key")), asked)


def _first_candidate(response: Mapping[str, Any], place: str) -> tuple[str, str | None]:
    match response:
        case {"candidates": [dict(candidate), *_]}:
            reason = candidate.get("finishReason")
        case {"promptFeedback": {"blockReason": str(blocked)}}:
            return "", blocked.lower()
        case _:
            raise DataError(
                f"{place}: the response has no candidates",
                fix="give the output of a batch prediction job of a Gemini model",
            )
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    # An answer that was withheld comes without parts.
    texts = [_text_of(part) for part in parts] if isinstance(parts, list) else []
    return "".join(texts), _FINISH_REASONS.get(str(reason), reason and str(reason).lower())


def _text_of(part: Any) -> str:
    match part:
        case {"thought": True}:
            return ""
        case {"text": str(text)}:
            return text
        case _:
            return ""


def _input_of_row(row: Mapping[str, Any], path: Path, line: int) -> str | None:
    """The prompt of a row that is in one of gemtune's data formats."""
    try:
        return input_text(parse_example(dict(row), choose_format(row, None), path, line))
    except BadInput:
        return None


def _input_of_request(request: Mapping[str, Any], path: Path, line: int) -> str | None:
    contents = request.get("contents")
    if not isinstance(contents, list):
        return None
    # A row of training data ends with an answer; which one does not matter here.
    turns = [{"role": "user", **turn} if isinstance(turn, dict) else turn for turn in contents]
    row = {"contents": [*turns, {"role": "model", "parts": [{"text": "-"}]}]}
    for key in ("systemInstruction", "system_instruction"):
        if key in request:
            row["systemInstruction"] = request[key]
    return _input_of_row(row, path, line)


def _prompt_of_sample(record: Mapping[str, Any]) -> tuple[str, ...]:
    match record:
        case {"arguments": {"gen_args_0": {"arg_0": str(prompt)}}}:
            return (prompt,)
        case _:
            return ()


def _texts_in(doc: Mapping[str, Any]) -> list[str]:
    """The fields of a document, one of which is the question, whatever a task calls it."""
    return [value for value in doc.values() if isinstance(value, str)]


def _id_in(record: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    return next((str(record[key]) for key in keys if type(record.get(key)) in (str, int)), None)
