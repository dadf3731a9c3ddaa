"""From data to HTML: every value is escaped, and only the page's own style and script may run."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gemtune.monitoring.durations import in_words
from gemtune.reporting import numbers

_PACKAGE = "gemtune.reporting"
_FILTERS = {
    "score": numbers.score,
    "signed": numbers.signed,
    "interval": numbers.interval,
    "probability": numbers.probability,
    "count": numbers.count,
    "percent": numbers.percent,
    "duration": in_words,
    "sentence": numbers.sentence,
}


def render(template: str, values: Mapping[str, Any], *, parts: Sequence[str] = ("report",)) -> str:
    """Fill a template of this package.

    Args:
        template: Its name in the folder `templates`.
        values: What it shows.
        parts: Names of the style sheets and scripts that the page brings along.

    Returns:
        A whole page that loads nothing and runs nothing but what it brought along.
    """
    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    style, script = ("\n".join(_part(f"{name}.{kind}") for name in parts) for kind in ("css", "js"))
    return environment.get_template(template).render(
        values,
        # The only texts that are not escaped: they come with the package.
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=_version(),
    )


def _version() -> str:
    """Of the package that writes the page; nothing for one that runs without being installed."""
    try:
        return metadata.version("gemtune")
    except metadata.PackageNotFoundError:
        return ""


def _part(name: str) -> str:
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names a text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
