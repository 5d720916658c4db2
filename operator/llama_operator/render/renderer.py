"""Templates to objects: strict names, every value escaped, the result checked."""

from typing import Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from llama_operator.errors import RenderError
from llama_operator.render.checks import Manifest, check
from llama_operator.render.scalars import literal, to_yaml
from llama_operator.render.values import Values


def environment() -> Environment:
    """The template engine: unknown names fail, `tojson` writes YAML, `literal` keeps dollars."""
    # Nothing here is HTML; `tojson` quotes every value for YAML instead.
    result = Environment(  # noqa: S701
        loader=PackageLoader("llama_operator.render"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    result.filters["tojson"] = to_yaml
    result.filters["literal"] = literal
    return result


_ENVIRONMENT: Final = environment()


def render_template(
    kind: str, template: str, values: Values, templates: Environment = _ENVIRONMENT
) -> Manifest:
    """Fill a template, parse it and check it against the API model of its kind.

    Args:
        kind: a key of `checks.MODELS`, e.g. `StatefulSet`.
        template: file of the template, e.g. `statefulset.yaml.j2`.
        values: what the template calls `v`.
        templates: the template engine.

    Raises:
        RenderError: the template uses an unknown name, or makes no valid object: a bug.
    """
    try:
        text = templates.get_template(template).render(v=values)
        manifest = yaml.load(text, Loader=yaml.CSafeLoader)
    except (TemplateError, TypeError, ValueError, yaml.YAMLError) as error:
        msg = f"{template}: {error}"
        raise RenderError(msg) from error
    if not isinstance(manifest, dict):
        msg = f"{template}: makes {type(manifest).__name__} instead of an object"
        raise RenderError(msg)
    check(kind, manifest)
    return manifest
