"""`llama-operator size --jsonl`: one JSON object a line in, one a line out.

Rows do not depend on each other: what is wrong with one is told in its own answer, with `reason`,
and in words on standard error; then the next is read. Nothing but answers goes to standard output.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

from llama_operator.sizing.batch import INVALID_INPUT, estimate_row

INTERNAL_ERROR: Final = "internal-error"
"""Reason of a row that found a mistake in this program; standard error names it."""


def answer_lines(lines: Iterable[bytes], out: IO[str], errors: IO[str] | None = None) -> None:
    """Answer every line, each written whole and at once.

    Args:
        lines: of UTF-8, each an object; blank lines are left out.
        out: takes the answers.
        errors: takes in words what is wrong with rows that were not sized; standard error when
            None.
    """
    for answer in _answers(lines, sys.stderr if errors is None else errors):
        out.write(_text(answer))
        out.flush()


def _answers(lines: Iterable[bytes], errors: IO[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(line)
        if row is None:
            print(f"llama-operator: line {number} is no JSON object", file=errors)
            yield {"id": None, "reason": INVALID_INPUT}
            continue
        try:
            answered = estimate_row(row)
        except Exception as error:
            print(f"llama-operator: line {number}: {error!r}", file=errors)
            yield {"id": row.get("id"), "reason": INTERNAL_ERROR}
            continue
        if answered.message:
            print(f"llama-operator: line {number}: {answered.message}", file=errors)
        yield answered.fields


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _text(answer: Mapping[str, Any]) -> str:
    """An answer as a line; an `id` that JSON cannot write, such as NaN, becomes null."""
    try:
        return json.dumps(answer, allow_nan=False) + "\n"
    except (ValueError, RecursionError):
        kept = {key: value for key, value in answer.items() if key != "id"}
        return json.dumps({"id": None, **kept}, allow_nan=False) + "\n"
