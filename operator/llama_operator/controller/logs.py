"""Logs as JSON, one line an event."""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO

object_reference: ContextVar[dict[str, object] | None] = ContextVar(
    "object_reference", default=None
)
"""Namespace, name, uid, generation and pass of the object that is worked on."""

_FOREIGN: Final = ("kopf", "aiohttp", "asyncio")


class _KnownFailures(logging.Filter):
    """Takes the trace from what kopf logs of an API server that fails; the message tells it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("kopf") and _is_of_the_network(error):
            record.exc_info = None
        return True


def _is_of_the_network(error: BaseException | None) -> bool:
    module = type(error).__module__
    return isinstance(error, OSError) or module.startswith(("aiohttp", "kopf._cogs.clients"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the object worked on."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        # ASCII: some readers end a line at U+2028 or U+0085, and no stream refuses it.
        return json.dumps(self.fields(record))

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """What the line holds."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        reference = object_reference.get()
        if reference is not None:
            line["object"] = reference
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return line


def set_up_logs(level: str, stream: TextIO | None = None) -> None:
    """Send everything to one stream; libraries speak up from warnings on."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_KnownFailures())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        for name in _FOREIGN:
            logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
