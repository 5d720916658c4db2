import re
from dataclasses import replace
from importlib.resources import files

import pytest
from jinja2 import DictLoader

from llama_operator.errors import RenderError
from llama_operator.render.renderer import environment, render_template
from llama_operator.render.values import ChildMetadata, PodDisruptionBudgetValues

VALUES = PodDisruptionBudgetValues(
    metadata=ChildMetadata(name="n", namespace="d", labels={"a": "b"}, owner=None),
    selector={"a": "b"},
)
TEMPLATES = sorted(
    path.name for path in files("llama_operator.render").joinpath("templates").iterdir()
)


def render(text: str, values: PodDisruptionBudgetValues = VALUES) -> dict[str, object]:
    templates = environment()
    templates.loader = DictLoader({"t.yaml.j2": text})
    return render_template("PodDisruptionBudget", "t.yaml.j2", values, templates)


def test_a_template_is_filled_parsed_and_checked() -> None:
    assert render("kind: {{ v.metadata.name | tojson }}") == {"kind": "n"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("kind: {{ v.misspelt }}", "has no attribute 'misspelt'", id="unknown value"),
        pytest.param("kind: {{ w.name }}", "'w' is undefined", id="unknown object"),
        pytest.param("kind: {{ v | nofilter }}", "nofilter", id="unknown filter"),
        pytest.param("{% if %}", "t.yaml.j2: ", id="no template"),
        pytest.param("a: [", "t.yaml.j2: ", id="no YAML"),
        pytest.param("- a", "t.yaml.j2: makes list instead of an object", id="a list"),
        pytest.param("", "t.yaml.j2: makes NoneType instead of an object", id="nothing"),
        pytest.param("spec: {a: 1}", "PodDisruptionBudget: spec.a: ", id="no such field"),
        pytest.param("kind: a-{{ 1 | tojson }}", "inside a longer text", id="a part of a text"),
        pytest.param(
            "kind: '{{ 1 | tojson }}'", "PodDisruptionBudget: kind: ", id="quotes do not matter"
        ),
        pytest.param("{{ 1 | tojson }}: {}", "t.yaml.j2: ", id="a number as a key"),
        pytest.param("kind: 2026-01-02", "t.yaml.j2: ", id="a date"),
        pytest.param("kind: {{ 0.5 | tojson }}", "0.5 is a float", id="a float"),
        pytest.param("kind: {{ v | tojson }}", "not JSON serializable", id="no JSON value"),
    ],
)
def test_a_bad_template_is_refused(text: str, message: str) -> None:
    with pytest.raises(RenderError, match=re.escape(message)):
        render(text)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("yes", id="a word that YAML takes for a boolean"),
        pytest.param("1e3", id="a word that looks like a number"),
        pytest.param("a: b\n- c", id="YAML"),
        pytest.param("<<0>>", id="a mark"),
        pytest.param("\u2028\u0085\ufeff\x00\x7f", id="line ends and control characters"),
        pytest.param("🦙", id="a character outside the basic plane"),
    ],
)
def test_values_stay_what_they_are_as_keys_and_as_values(value: str) -> None:
    whole = "metadata: {labels: {{ v.selector | tojson }}}"
    loop = (
        "{% for k, w in v.selector.items() %}\n    {{ k | tojson }}: {{ w | tojson }}\n{% endfor %}"
    )
    for text in (whole, f"metadata:\n  labels:\n{loop}"):
        assert render(text, replace(VALUES, selector={value: value})) == {
            "metadata": {"labels": {value: value}}
        }


def test_equal_templates_make_separate_objects() -> None:
    first = render("metadata: {labels: {a: b}}")
    second = render("metadata: {labels: {a: b}}")

    assert first == second
    assert first["metadata"] is not second["metadata"]


def test_a_missing_template_is_refused() -> None:
    with pytest.raises(RenderError, match=r"none\.yaml\.j2"):
        render_template("Service", "none.yaml.j2", VALUES)


MACROS = "(metadata|probe|fetch_container|cache_volume)"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_inserted_value_is_escaped(template: str) -> None:
    text = files("llama_operator.render").joinpath("templates", template).read_text("utf-8")

    inserts = re.findall(r"\{\{(.*?)\}\}", text, flags=re.DOTALL)

    assert inserts
    for insert in inserts:
        is_macro = re.fullmatch(rf" {MACROS}\(v[a-z._]*\) (\| indent\(\d, true\) )?", insert)
        assert insert.endswith("| tojson ") or is_macro, insert


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_have_loops_conditions_and_macros_only(template: str) -> None:
    text = files("llama_operator.render").joinpath("templates", template).read_text("utf-8")

    words = set(re.findall(r"\{%-?\s*(\w+)", text))

    assert words <= {"for", "endfor", "if", "elif", "endif", "macro", "endmacro", "from"}
