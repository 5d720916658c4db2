"""Values as text: how they stand in a template, and how Kubernetes hands them to a process."""

import json
import re
from collections.abc import Mapping
from typing import Any

_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]")


def to_yaml(value: Any) -> str:  # noqa: ANN401 - any JSON value
    r"""A JSON value as one line of YAML flow syntax, in printable ASCII.

    JSON alone is not enough: its `\ud83e\udd99` is two invalid characters to YAML, and raw U+0085,
    U+2028 or U+FEFF would be folded or refused. YAML's `\U` escape has room for every character.
    Keys are bounded to 1,024 characters by YAML.

    Raises:
        TypeError: the value holds a float, which no object here has and which YAML would read back
            as a string when written like 1e-05, or something that is no JSON value.
    """
    _refuse_floats(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return _NOT_PRINTABLE_ASCII.sub(lambda match: f"\\U{ord(match[0]):08x}", text)


def literal(text: str) -> str:
    """Text that the kubelet hands over unchanged in `args` and `env`.

    The kubelet replaces `$(NAME)` by that variable's value, which would print a token into a
    command line, and reads `$$` as one `$`.
    """
    return text.replace("$", "$$")


def _refuse_floats(value: Any) -> None:  # noqa: ANN401 - any JSON value
    if isinstance(value, float):
        msg = f"{value} is a float; rendered values are integers or quantities"
        raise TypeError(msg)
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
