"""Values in source are read as Python would have them, and what is not followed is refused."""

import ast
from typing import Any

import pytest

from captures.source import Library, Unreadable

FILES = {
    "engine/choices.py": """
FORMATS = ["auto", "pt"]
add_formats = FORMATS.extend
BACKENDS = frozenset({"b", "a"})
class Backend:
    FULL = "full"
    OFF = "off"
    ALL = (FULL, OFF)
""",
    "engine/names.py": 'NAMES: list[str] = ["llama3", "pythonic"]',
    "engine/server.py": """
from engine.choices import BACKENDS, Backend
from .choices import FORMATS as formats
START = 4 * 1024
def names():
    # which costs nothing to import
    from engine.names import NAMES
    return list(NAMES)
def counted():
    return len(formats)
""",
    "engine/__init__.py": "",
    "engine/deeper/module.py": "",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("'auto'", "auto", id="text"),
        pytest.param("-1", -1, id="a negative number"),
        pytest.param("START", 4096, id="a product by its name"),
        pytest.param("[1, None, True]", [1, None, True], id="a list"),
        pytest.param("formats + ['gguf']", ["auto", "pt", "gguf"], id="a sum with an import"),
        pytest.param("set(BACKENDS)", ["a", "b"], id="a set, sorted"),
        pytest.param("Backend.ALL", ["full", "off"], id="a member made of others"),
        pytest.param("Backend.FULL.value", "full", id="the value of a member"),
        pytest.param("['auto'] + names()", ["auto", "llama3", "pythonic"], id="a function"),
        pytest.param("{}", {}, id="an empty mapping"),
    ],
)
def test_values_are_read(text: str, value: Any) -> None:
    module = Library(FILES).module("engine.server")
    assert module.value(ast.parse(text, mode="eval").body) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("counted()", id="a function that computes"),
        pytest.param("missing", id="a name that is nowhere"),
        pytest.param("Backend.HALF", id="a member that is none"),
        pytest.param("[x for x in formats]", id="a comprehension"),
        pytest.param("os.environ['X']", id="the environment"),
    ],
)
def test_what_is_not_followed_is_refused(text: str) -> None:
    module = Library(FILES).module("engine.server")
    with pytest.raises(Unreadable):
        module.value(ast.parse(text, mode="eval").body)


def test_modules_of_a_package_are_those_right_in_it() -> None:
    assert Library(FILES).names("engine") == [
        "engine.__init__",
        "engine.choices",
        "engine.names",
        "engine.server",
    ]
