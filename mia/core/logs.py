"""How every program of MIA logs: one handler, one filter that takes secrets out, text or JSON.

A line of JSON has ``ts`` (RFC 3339, UTC), ``level``, ``logger``, ``process``, ``text`` and, after
an exception, ``error``, its traceback. Standard library only.
"""

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TextIO

from mia.redaction import Redactor, secrets_of

log = logging.getLogger("mia")

TEXT = "%(asctime)s %(levelname)s %(message)s"


class SecretsFilter(logging.Filter):
    """Puts message, arguments and traceback of every record through a redactor."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact
        self._format = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Cover the secrets of a record; always let it through."""
        try:
            text = record.getMessage()
        except Exception as error:
            # A wrong format of some library must not take the line away, nor show its arguments.
            text = f"a message that cannot be formatted: {type(error).__name__}"
        record.msg, record.args = self._redact(text), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._format.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "ts": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "text": record.getMessage(),
        }
        error = record.exc_text or (record.exc_info and self.formatException(record.exc_info))
        if error:
            line["error"] = error
        return json.dumps(line, ensure_ascii=False)


def set_up(
    level: int = logging.INFO,
    *,
    as_json: bool = False,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> Redactor:
    """Let everything that this process logs go through one handler of the root logger.

    Errors that nobody caught are logged as well, in any thread, so that no traceback leaves the
    process without the filter.

    Parameters
    ----------
    level : int
        Of the root logger.
    as_json : bool
        Lines of JSON instead of text.
    secrets : iterable of str
        Known ones, beside those of the environment.
    stream : file, optional
        Standard error by default.

    Returns
    -------
    Redactor
        The one that the handler uses.
    """
    redact = Redactor([*secrets_of(os.environ), *secrets])
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(SecretsFilter(redact))
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(TEXT))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    cover_tracebacks(redact)
    return redact


def cover_tracebacks(redact: Redactor | None = None) -> None:
    """Let errors that nobody catches be told without secrets, in any thread.

    They go to the log if there is one, else to standard error. For programs that do not log, too.
    """
    cover = redact or Redactor(secrets_of(os.environ))

    def tell(
        where: str,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            # Nothing to learn from where somebody pressed Ctrl-C.
            return
        if logging.getLogger().handlers and error is not None:
            log.critical("nobody caught this%s", where, exc_info=(kind, error, trace))
        else:
            print(cover("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr)

    sys.excepthook = partial(tell, "")
    threading.excepthook = lambda what: tell(
        f" in {what.thread.name if what.thread is not None else 'a thread'}",
        what.exc_type,
        what.exc_value,
        what.exc_traceback,
    )
