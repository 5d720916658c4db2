"""Arithmetic in the pages: lines such as `weights: 2 * 8 * GiB = 17,179,869,184`."""

import ast
import math
import re
from fractions import Fraction

from llama_operator.units import GIB
from unit.docs.pages import blocks_of

_EQUATION = re.compile(r"^([\w ,-]+): (.+) = ([\d,.]+)$")
_FUNCTIONS = {"floor": math.floor, "ceil": math.ceil, "min": min, "max": max}


def evaluate(text: str) -> Fraction:
    """The value of an expression of numbers, GiB and a few functions, without rounding."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\d+\.\d+", lambda number: f"Fraction({number.group(0)!r})", text)
    tree = ast.parse(re.sub(r"(?<![\w.'])(\d+)(?![\w.'])", r"Fraction(\1)", text), mode="eval")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names <= {"Fraction", "GiB", *_FUNCTIONS}, names
    scope = {"__builtins__": {}, "Fraction": Fraction, "GiB": GIB, **_FUNCTIONS}
    return Fraction(eval(compile(tree, "page", "eval"), scope))


def equations(page: str) -> dict[str, tuple[str, Fraction]]:
    """Expression and result of every equation in the page's blocks of text, by its name."""
    return {
        match.group(1): (match.group(2), evaluate(match.group(3)))
        for line in lines(page)
        if (match := _EQUATION.match(line))
    }


def lines(page: str) -> list[str]:
    """Lines of the page's blocks of text."""
    return [line for block in blocks_of(page, "text") for line in block.text.splitlines()]
