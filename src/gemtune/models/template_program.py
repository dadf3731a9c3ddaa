"""The program that renders one chat template, under limits that the kernel holds.

A chat template is code that came with a model. jinja2's sandbox keeps it from reaching out, but not
from looping or growing: here a timer of the kernel ends what runs too long, memory is capped, and
no file or socket can be opened. `template_process.py` starts this file; nothing of gemtune is
imported, so that it starts in a tenth of a second.

Standard input: one JSON line with the template and its variables; then, a line each, `messages` and
what is `wanted` of them: pairs of how many of the messages and whether an answer is asked for.
Standard output: a JSON line for each of these, with `texts` or with what went wrong.
"""

import json
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import Any

# jinja2 imports its debug module at the first error, and no file can be opened by then.
import jinja2.debug  # noqa: F401
from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError
from jinja2.utils import Namespace

# A row takes about a millisecond.
CPU_SECONDS = 1.0
MEMORY_BYTES = 256 * 2**20
# A template writes the conversation and some words around it.
_MAX_ADDED_CHARACTERS = 2**20
_MAX_COPIES = 4
_MAX_REASON_CHARACTERS = 500


class _Generation(Extension):
    """`{% generation %}` marks answers for tools that want to know where they are."""

    tags = {"generation"}  # noqa: RUF012  (jinja2's name for a constant)

    def parse(self, parser: Parser) -> nodes.Node:
        """Keep what is inside and drop the tag."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _PlainDict:
    """`dict` without the attributes of the class, which lead to all other classes."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """As `dict.fromkeys`."""
        return dict.fromkeys(*args)


class _PlainNamespace(Namespace):
    """`namespace` whose names lead to nothing inside Python."""

    def __init__(*args: Any, **values: Any) -> None:
        # jinja2 leaves all names free for the template, `self` too.
        self, *rest = args
        for name in dict(*rest, **values):
            _require_plain_name(name)
        Namespace.__init__(self, *rest, **values)

    def __setitem__(self, name: str, value: object) -> None:
        _require_plain_name(name)
        super().__setitem__(name, value)


def _require_plain_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no name like {name!r}")


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As `json.dumps`: jinja2's own filter writes for HTML pages."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _local_time(form: str) -> str:
    # Templates mean the user's date.
    return datetime.now().strftime(form)  # noqa: DTZ005


def make_environment() -> ImmutableSandboxedEnvironment:
    """What templates are written for: the environment of `apply_chat_template` in transformers."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    additions: dict[str, Any] = {
        "raise_exception": _raise_exception,
        "strftime_now": _local_time,
        "dict": _PlainDict(),
        "namespace": _PlainNamespace,
    }
    environment.globals.update(additions)
    return environment


def _limit_process() -> None:
    # What jinja2 and Python load at first use: nothing can be opened afterwards.
    make_environment().from_string("{{ '\\n' | wordwrap | pprint }}{{ lipsum(1) }}").render()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    # The address space of a process on macOS is larger than any limit from its start.
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _answer(render: Callable[[], list[str]], limit: int) -> dict[str, Any]:
    """Render, and sort what the template raises by whose fault it is."""
    # The signal that comes when this time is over ends the process: no code of ours has to run.
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        texts = render()
    except SecurityError as error:
        return {"broken": f"does what a template may not do: {error}"}
    except TemplateSyntaxError as error:
        return {"broken": f"cannot be read: {error.message} (line {error.lineno} of the template)"}
    except TemplateError as error:
        return {"refused": str(error)[:_MAX_REASON_CHARACTERS]}
    except MemoryError:
        return {"broken": f"takes more than {MEMORY_BYTES >> 20} MiB of memory"}
    # Whatever else a template can make Python raise.
    except Exception as error:
        why = str(error)[:_MAX_REASON_CHARACTERS]
        return {"broken": f"fails: {type(error).__name__}: {why}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if sum(map(len, texts)) > limit:
        return {"broken": f"writes over {limit} characters"}
    return {"texts": texts}


def main() -> None:
    """Answer line by line until standard input ends, which it does with the asking process."""
    _limit_process()
    setup = json.loads(sys.stdin.readline())

    @cache
    def template() -> Template:
        return make_environment().from_string(setup["template"])

    def render(messages: list[dict[str, str]], wanted: list[tuple[int, bool]]) -> list[str]:
        return [
            template().render(
                **setup["variables"], messages=messages[:n_messages], add_generation_prompt=asks
            )
            for n_messages, asks in wanted
        ]

    for line in sys.stdin:
        limit = _MAX_ADDED_CHARACTERS + _MAX_COPIES * len(line)
        reply = _answer(partial(render, **json.loads(line)), limit)
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
