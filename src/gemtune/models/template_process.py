"""A process that renders one chat template, and what is said of it when it does not come back."""

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from gemtune.data.examples import Message
from gemtune.errors import ArtefactError
from gemtune.models.template_program import CPU_SECONDS

_PROGRAM = Path(__file__).with_name("template_program.py")
# What Python needs to start; a template that leaves the sandbox finds no secrets of the user's.
_PASSED_ON = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TZ")

Prefix = tuple[int, bool]
"""How many of the messages, and whether what asks for the next answer is added."""


class ConversationRefusedError(Exception):
    """The template says that it does not know such a conversation."""


class TemplateProcess:
    """Renders a chat template in a process of its own, started when it is first needed."""

    def __init__(self, setup: str, model: str) -> None:
        """Keep the first line for the program; `model` names the template in errors."""
        self._setup = setup
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def render(self, messages: Sequence[Message], wanted: Sequence[Prefix]) -> list[str]:
        """Turn the beginnings of a conversation that are wanted into text.

        Raises:
            ConversationRefusedError: the template refuses the messages.
            ArtefactError: the template is damaged, does what it may not, or takes too long or too
                much memory.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        question = json.dumps({"messages": turns, "wanted": wanted})
        with self._lock:
            reply = self._ask(question.encode())
        match reply:
            case {"texts": texts}:
                return texts
            case {"refused": why}:
                raise ConversationRefusedError(why)
            case _:
                raise self._broken(reply["broken"])

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        except BaseException:
            # Its answer is still to come, and would be taken for that to the next question.
            self._stop()
            raise
        if answer.endswith(b"\n"):
            return json.loads(answer)
        return {"broken": self._reason_of_end(process)}

    def _reason_of_end(self, process: subprocess.Popen[bytes]) -> str:
        self._stop()
        if process.returncode == -signal.SIGPROF:
            return f"takes more than {CPU_SECONDS:g} s to write one conversation"
        return f"ends the process that it runs in (exit code {process.returncode})"

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            # Ctrl-C in a terminal goes to all processes there; this one ends with its owner.
            start_new_session=True,
        )
        weakref.finalize(self, _end, process)
        assert process.stdin
        process.stdin.write(self._setup.encode() + b"\n")
        return process

    def _stop(self) -> None:
        if self._process:
            _end(self._process)
            self._process = None

    def _broken(self, why: str) -> ArtefactError:
        return ArtefactError(
            f"the chat template of {self._model} {why}",
            fix="take the model from where it was published, or set data.template=plain",
        )


@lru_cache(maxsize=4)
def template_process(setup: str, model: str) -> TemplateProcess:
    """The process for a template; asked again, the same one.

    Args:
        setup: JSON object with `template` and the `variables` of every conversation.
        model: What the user calls the model that the template came with.
    """
    return TemplateProcess(setup, model)


def _end(process: subprocess.Popen[bytes]) -> None:
    # What a dead process did not read any more is of no interest.
    with suppress(BrokenPipeError), process:
        process.kill()
