"""Templates to objects: strict names, values that cannot break out, the result checked.

A template is YAML. What it inserts never passes through YAML: a value is put aside, its place is
marked, and the marks are replaced after the template was parsed. So no value changes the structure
of an object or is read as something else, and a template is parsed once for each set of loops and
conditions that it takes, not once for each object.
"""

import json
import re
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from llama_operator.errors import RenderError
from llama_operator.render.checks import Manifest, check
from llama_operator.render.scalars import from_json, literal, to_json
from llama_operator.render.values import Values

_inserted: ContextVar[list[str]] = ContextVar("_inserted")
"""Values of the template that is being filled, as JSON, in the order of their marks."""
_MARK: Final = re.compile('"<<([0-9]+)>>"')


def environment() -> Environment:
    """The template engine: unknown names fail, `tojson` inserts, `literal` keeps dollars."""
    # Nothing here is HTML; `tojson` keeps every value apart from the text instead.
    result = Environment(  # noqa: S701
        loader=PackageLoader("llama_operator.render"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    result.filters["tojson"] = _insert
    result.filters["literal"] = literal
    return result


def _insert(value: object) -> str:
    values = _inserted.get()
    values.append(to_json(value))
    return f"<<{len(values) - 1}>>"


_ENVIRONMENT: Final = environment()


def render_template(
    kind: str, template: str, values: Values, templates: Environment = _ENVIRONMENT
) -> Manifest:
    """Fill a template and check it against the API model of its kind.

    Args:
        kind: a key of `checks.MODELS`, e.g. `StatefulSet`.
        template: file of the template, e.g. `statefulset.yaml.j2`.
        values: what the template calls `v`.
        templates: the template engine.

    Raises:
        RenderError: the template uses an unknown name, or makes no valid object: a bug.
    """
    manifest = fill_template(template, values, templates)
    check(kind, manifest)
    return manifest


def fill_template(template: str, values: Values, templates: Environment = _ENVIRONMENT) -> Manifest:
    """Fill a template whose result becomes part of an object that is checked as a whole.

    Raises:
        RenderError: the template uses an unknown name, or makes no object: a bug.
    """
    inserted: list[str] = []
    token = _inserted.set(inserted)
    try:
        text = templates.get_template(template).render(v=values)
        pieces, order = _parsed(text)
        filled = [pieces[0]]
        for mark, piece in zip(order, pieces[1:], strict=True):
            filled += (inserted[mark], piece)
        manifest: Manifest = from_json("".join(filled))
    except (TemplateError, TypeError, ValueError, yaml.YAMLError) as error:
        msg = f"{template}: {error}"
        raise RenderError(msg) from error
    finally:
        _inserted.reset(token)
    return manifest


@lru_cache(maxsize=128)
def _parsed(text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """A filled template as JSON, cut at its marks, and the numbers of the marks.

    Raises:
        ValueError: the template makes no object, or inserts a value inside a longer text.
        YAMLError: the template makes no YAML.
    """
    manifest = yaml.load(text, Loader=yaml.CSafeLoader)
    if not isinstance(manifest, dict):
        msg = f"makes {type(manifest).__name__} instead of an object"
        raise ValueError(msg)
    parts = _MARK.split(json.dumps(manifest, ensure_ascii=False))
    pieces, marks = tuple(parts[::2]), tuple(int(number) for number in parts[1::2])
    if any("<<" in piece for piece in pieces):
        msg = "inserts a value inside a longer text"
        raise ValueError(msg)
    return pieces, marks
