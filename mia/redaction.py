"""Covers what must never stand in a log, an alert or on a page.

What is known to be secret is covered wherever it turns up; addresses of webhooks, tokens and
account numbers are known by their shape. Standard library only.
"""

import re
from collections.abc import Iterable, Mapping

COVER = "***"
"""Stands for what was taken out."""

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|WEBHOOK|PING_URL|APPRISE|API_?KEY|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE
)
_SHORTEST = 6
"""A shorter value is no secret, and would cover ordinary words."""

_HOOK = re.compile(r"(https?://[^\s/\"'<>]+/api/(?:v\d+/)?webhooks/)[^\s\"'<>,;)]+", re.IGNORECASE)
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:token|secret|passw(?:or)?d|credential|(?:api|access|private)[_-]?key)s?[\"']?\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s&,;\"']+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_ACCOUNT = re.compile(r"\b(DU|DF|DI|U|F)(\d{5,9})\b")


class Redactor:
    """Takes secrets out of texts.

    Parameters
    ----------
    secrets : iterable of str
        Known ones; those of fewer than six letters are left alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets; account numbers keep their last digits."""
        if self._known is not None:
            text = self._known.sub(COVER, text)
        if "://" in text:
            text = _USER.sub(rf"\1{COVER}@", _HOOK.sub(rf"\1{COVER}", text))
        if "=" in text or ":" in text:
            text = _NAMED.sub(rf"\1{COVER}", text)
        if "earer " in text or "asic " in text or "EARER " in text:
            text = _BEARER.sub(rf"\1{COVER}", text)
        return _ACCOUNT.sub(covered_account, text)


def covered_account(found: re.Match[str]) -> str:
    """Return an account number with all but its kind and its last digits covered."""
    digits = found[2]
    return f"{found[1]}{COVER}{digits[-4:] if len(digits) > 6 else digits[-2:]}"


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names say that they are secret."""
    return [value for name, value in environment.items() if _SECRET_NAME.search(name)]
