"""Values as text: how they stand in a template, and how Kubernetes hands them to a process."""

import json
from typing import Any, NoReturn


def to_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A JSON value as text, maps sorted.

    Raises:
        TypeError: the value holds something that is no JSON value.
        ValueError: the value holds NaN or an infinity.
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)


def from_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text without floats, which no object here has.

    Raises:
        TypeError: the text holds a float.
        ValueError: the text is no JSON, or holds half a character (a lone surrogate).
    """
    return json.loads(text.encode(), parse_float=_refuse_float)


def literal(text: str) -> str:
    """Text that the kubelet hands over unchanged in `args` and `env`.

    The kubelet replaces `$(NAME)` by that variable's value, which would print a token into a
    command line, and reads `$$` as one `$`.
    """
    return text.replace("$", "$$")


def _refuse_float(text: str) -> NoReturn:
    msg = f"{text} is a float; rendered values are integers or quantities"
    raise TypeError(msg)
