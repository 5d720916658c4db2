"""What a request to the API server may fail with.

ApiError
├── NotFoundError        404
├── ConflictError        409, AlreadyExists included
├── GoneError            410
├── ForbiddenError       403
├── InvalidError         400, 422
├── FencedError          not sent: this process may not write now
└── UnavailableError     429, 5xx, broken connections and time-outs: try again later
"""

import json
from typing import Final

from llama_operator.errors import LlamaOperatorError


class ApiError(LlamaOperatorError):
    """The API server's answer to a request that failed."""

    def __init__(
        self, code: int, reason: str, message: str, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status_reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class NotFoundError(ApiError):
    """404: the object or the resource does not exist."""


class ConflictError(ApiError):
    """409: the object exists, or a precondition (uid, resourceVersion) does not hold."""


class GoneError(ApiError):
    """410: the resourceVersion is too old; list again."""


class ForbiddenError(ApiError):
    """403: a right is missing, or an admission rule refuses."""


class InvalidError(ApiError):
    """400 or 422: the object breaks a rule; sending it again cannot help."""


class FencedError(ApiError):
    """The write was not sent, since another process may lead."""

    def __init__(self) -> None:
        super().__init__(0, "Fenced", "not sent: the lease is not held")


class UnavailableError(ApiError):
    """429, 5xx, a broken connection or a time-out: the same request may succeed later."""


_BY_CODE: Final[dict[int, type[ApiError]]] = {
    400: InvalidError,
    403: ForbiddenError,
    404: NotFoundError,
    405: InvalidError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}


def error_of(code: int, body: str, retry_after: str | None = None) -> ApiError:
    """The exception for an answer; the body is a Status object, or any text."""
    reason, message = "", body[:512]
    try:
        status = json.loads(body)
        if isinstance(status, dict):
            reason = str(status.get("reason") or "")
            message = str(status.get("message") or message)
    except ValueError:
        pass
    seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    kind = _BY_CODE.get(code, UnavailableError)
    return kind(code, reason, message or f"HTTP {code}", seconds)
