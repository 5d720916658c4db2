"""When writes that the API server fails are told."""

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.cluster.client import ConflictError, UnavailableError
from llama_operator.controller.setbacks import AGAIN_SECONDS, Setbacks
from llama_operator.reconcile.actions import Create, Failure

KEY, OTHER = ("ml", "small"), ("ml", "other")
BODY = {"kind": "Service", "metadata": {"namespace": "ml", "name": "small"}}
ACTION = Create(BODY, "it is missing")
WEBHOOK = UnavailableError(500, "InternalError", "failed calling webhook")


def test_the_fifth_pass_in_a_row_tells_what_the_server_said() -> None:
    setbacks = Setbacks()
    for _ in range(4):
        assert setbacks.failure(KEY, ACTION, WEBHOOK) is None
        setbacks.add(KEY, WEBHOOK)
    assert setbacks.failure(KEY, ACTION, WEBHOOK) == Failure(
        ACTION,
        Reason.API_SERVER_ERROR,
        "Service small: failed calling webhook",
        retry_after_seconds=AGAIN_SECONDS,
    )
    assert setbacks.failure(OTHER, ACTION, WEBHOOK) is None


def test_one_pass_that_goes_through_begins_the_count_anew() -> None:
    setbacks = Setbacks()
    for _ in range(4):
        setbacks.add(KEY, WEBHOOK)
    setbacks.forget(KEY)
    assert setbacks.failure(KEY, ACTION, WEBHOOK) is None


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(UnavailableError(0, "NoAnswer", "cut"), id="no answer, so no status either"),
        pytest.param(UnavailableError(429, "TooManyRequests", "later"), id="too many requests"),
        pytest.param(ConflictError(409, "Conflict", "changed"), id="a conflict"),
        pytest.param(ValueError("a bug"), id="a bug"),
    ],
)
def test_other_errors_neither_count_nor_are_told(error: Exception) -> None:
    setbacks = Setbacks()
    for _ in range(9):
        if isinstance(error, UnavailableError | ConflictError):
            setbacks.add(KEY, error)
        assert setbacks.failure(KEY, ACTION, error) is None
    for _ in range(4):
        setbacks.add(KEY, WEBHOOK)
    assert setbacks.failure(KEY, ACTION, error) is None
    assert setbacks.failure(KEY, ACTION, WEBHOOK) is not None
