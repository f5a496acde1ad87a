"""What the JSON API answers with, account numbers covered."""

import re
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_ACCOUNT = re.compile(rb"\b(D?[FU])\d{1,5}(\d{4})\b")
_encode = msgspec.json.Encoder().encode


def answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON, with all but the ends of account numbers covered.

    Parameters
    ----------
    value : object
        What msgspec can encode.
    """
    text = _ACCOUNT.sub(rb"\1***\2", _encode(value))
    return Response(text, status, media_type="application/json")


def number(request: Request, name: str, default: int) -> int:
    """Return a whole number of the query.

    Raises
    ------
    HTTPException
        400, if it is none.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise HTTPException(400, f"{name} is no whole number")
    return int(text)
