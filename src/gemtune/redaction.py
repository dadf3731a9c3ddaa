"""Secrets are taken out of everything that gemtune writes about a run, and refused in configs.

They are known by their form, and those of this process by the names of environment variables.
"""

import os
import re
from collections.abc import Callable
from typing import Any

MARK = "[redacted]"

# The forms that keys of well-known services have. Group 1, where there is one, stays.
_FORMS = re.compile(
    r"""
      -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \bAIza[\w-]{35,}                               # Google API key
    | \bya29\.[\w.-]{20,}                            # Google access token
    | \b1//0[\w-]{20,}                               # Google refresh token
    | \bGOCSPX-[\w-]{20,}                            # Google OAuth client
    | \bhf_[A-Za-z0-9]{30,}                          # Hugging Face
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                  # AWS key id
    | \bgh[pousr]_[A-Za-z0-9]{36,} | \bgithub_pat_\w{22,}
    | \bglpat-[\w-]{20,}
    | (?<![\w-])sk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9]{20}[\w-]*   # OpenAI, Anthropic and others
    | \bxox[abeoprs]-[\w-]{10,}                      # Slack
    | \bpypi-AgE[\w-]{50,} | \bnpm_[A-Za-z0-9]{36}
    | \beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*         # JSON web token
    """,
    re.VERBOSE | re.DOTALL,
)
_NAMED = re.compile(
    r"""
      ( [a-z][a-z0-9+.-]*:// ) [^/\s:@]* : [^/\s@]+ (?=@)         # scheme://user:password@host
    | ( \bBearer\s+ ) [\w.~+/=-]{16,}
    | ( [?&](?:sig|signature|token|key|x-(?:goog|amz)-(?:signature|security-token))= ) [^&\s"']+
    | ( (?:passw(?:or)?d|secret|api_?key|access_?key|auth_?token|access_?token|hf_?token)
        ["']?\s*[=:]\s*["']? ) [^\s"',;&]{6,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$")
# Shorter values, such as "false", stand in texts for other reasons.
_MIN_SECRET_CHARACTERS = 8


def redact(text: str) -> str:
    """Replace every secret in `text`, of known form or of this environment, by a mark."""
    for value in _environment_secrets():
        text = text.replace(value, MARK)
    return redact_forms(text)


def redact_forms(text: str) -> str:
    """Replace what has the form of a secret; harmless words are never taken for one."""
    text = _FORMS.sub(MARK, text)
    return _NAMED.sub(lambda found: next(filter(None, found.groups()), "") + MARK, text)


def redact_values(value: Any, redact_text: Callable[[str], str] = redact) -> Any:
    """The same JSON value with the secrets in all of its texts replaced."""
    match value:
        case str():
            return redact_text(value)
        case dict():
            return {key: redact_values(inner, redact_text) for key, inner in value.items()}
        case list() | tuple():
            return [redact_values(inner, redact_text) for inner in value]
        case _:
            return value


def _environment_secrets() -> list[str]:
    """The values of variables that are named as secrets, longest first."""
    found = {
        value.strip()
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name.upper()) and len(value.strip()) >= _MIN_SECRET_CHARACTERS
    }
    return sorted(found, key=len, reverse=True)
