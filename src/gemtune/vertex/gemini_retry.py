"""How long a call to Gemini is repeated; the library itself knows no `Retry-After`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from functools import partial
from typing import TypeVar

from google.genai import errors as genai
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_before_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)

from gemtune.vertex.gemini_errors import TRANSPORT_ERRORS

_STATUSES_THAT_PASS = (408, 429, 500, 502, 503, 504)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class GeminiLimits:
    """How long a call may take before it counts as failed."""

    request_seconds: float = 60
    retry_seconds: float = 180
    """For a call with all its repetitions."""
    first_wait_seconds: float = 1
    max_wait_seconds: float = 30


def with_patience(
    call: Callable[[], Answer], limits: GeminiLimits, is_over: threading.Event
) -> Answer:
    """Repeat a call that meets errors which may pass, with growing pauses, until `is_over` is set.

    No repetition comes before the time that a `Retry-After` names. The last error is raised.
    """
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=partial(_pause_seconds, limits),
        stop=stop_before_delay(limits.retry_seconds) | stop_when_event_set(is_over),
        sleep=sleep_using_event(is_over),
        reraise=True,
    )
    return retrying(call)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, genai.APIError):
        return error.code in _STATUSES_THAT_PASS
    return isinstance(error, TRANSPORT_ERRORS)


def _pause_seconds(limits: GeminiLimits, state: RetryCallState) -> float:
    backoff = wait_exponential_jitter(
        initial=limits.first_wait_seconds,
        max=limits.max_wait_seconds,
        jitter=limits.first_wait_seconds,
    )
    error = state.outcome.exception() if state.outcome else None
    headers = error.response.headers if isinstance(error, genai.APIError) else {}
    return max(backoff(state), _retry_after_seconds(headers.get("retry-after", "")))


def _retry_after_seconds(value: str) -> float:
    """Read the header, which holds seconds or a date; 0 for anything else."""
    if value.isascii() and value.isdigit():
        return float(value)
    moment = parsedate_tz(value)
    return max(0.0, mktime_tz(moment) - time.time()) if moment else 0.0
