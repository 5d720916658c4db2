"""What the pages say of reasons, metrics, rights and health is what the code has."""

import re

import pytest
import yaml
from prometheus_client import generate_latest

from llama_operator.api.reasons import REASONS, Reason
from llama_operator.api.status import ConditionType
from llama_operator.catalog.gguf_architectures import gguf_architectures
from llama_operator.controller.metrics import Metrics
from llama_operator.engines.registry import ENGINES
from unit.docs.pages import NAMES, ROOT, blocks_of, spans, table, tables, text_of

CAMEL = re.compile(r"[A-Z]+[a-z]+(?:[A-Z]+[a-z]*)+")


def first_cells(page: str) -> list[str]:
    return [row[0].strip("`") for rows in tables(page) for row in rows[1:]]


def test_every_reason_is_in_the_reference_with_its_remedy() -> None:
    rows = {row[0].strip("`"): row for row in table("docs/reference/reasons.md", "reason")}
    assert set(rows) == {reason.value for reason in Reason} == {reason.value for reason in REASONS}
    for reason, facts in REASONS.items():
        assert rows[reason][1:3] == [facts.meaning, facts.remedy]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_in_the_page_on_troubleshooting(reason: Reason) -> None:
    rows = table("docs/how-to/troubleshoot.md", "reason")
    assert [reason in re.findall(r"`(\w+)`", row[0]) for row in rows].count(True) == 1


def test_the_page_on_hubs_names_every_architecture_of_gguf_files() -> None:
    assert set(gguf_architectures()) <= set(spans("docs/how-to/size-any-model.md"))


def test_conditions_are_those_of_the_code() -> None:
    rows = table("docs/reference/conditions.md", "condition")
    assert {row[0].strip("`") for row in rows} == {kind.value for kind in ConditionType}


def test_reasons_in_the_table_of_situations_exist() -> None:
    known = {*Reason, *ConditionType, "True", "False"}
    for row in table("docs/reference/conditions.md", "situation"):
        for cell in row[1:]:
            assert set(re.findall(r"`(\w+)`", cell)) <= known


def test_the_health_script_names_conditions_and_reasons_that_exist() -> None:
    (block,) = (
        block
        for block in blocks_of("docs/how-to/gitops.md", "yaml")
        if "resource.customizations" in block.text
    )
    (script,) = yaml.safe_load(block.text)["data"].values()
    conditions = set(re.findall(r'conditions\["(\w+)"\]', script))
    assert conditions == {"Ready", "Reconciling", "Stalled"} <= {*ConditionType}
    assert set(re.findall(r'reason == "(\w+)"', script)) == {"Suspended", "ScaledToZero"}
    assert {"Suspended", "ScaledToZero"} <= {*Reason}
    statuses = set(re.findall(r'status = "(\w+)"', script))
    assert statuses == {"Progressing", "Degraded", "Healthy", "Suspended"}


def metric_names() -> set[str]:
    """Names of the operator's metrics as a scrape shows them."""
    text = generate_latest(Metrics().registry).decode()
    found = re.findall(r"^# TYPE (llama_operator\S+)", text, re.MULTILINE)
    return {name for name in found if not name.endswith("_created")}


def test_every_metric_is_in_the_reference() -> None:
    names = first_cells("docs/reference/metrics.md")
    assert set(names) == metric_names()
    assert len(names) == len(set(names)) > 15


def test_every_metric_of_the_engines_is_in_the_reference() -> None:
    shown = set(spans("docs/reference/metrics.md"))
    for engine in ENGINES.values():
        assert set(engine.metric_names()) <= shown


def test_labels_of_a_metric_are_told() -> None:
    (row,) = (
        row
        for row in table("docs/reference/metrics.md", "metric")
        if row[0] == "`llama_operator_deployment_condition`"
    )
    assert row[1:3] == ["gauge", "`namespace`, `name`, `type`, `status`, `reason`"]


@pytest.mark.parametrize("page", NAMES)
def test_metrics_that_a_page_names_exist(page: str) -> None:
    suffixes = ("", "_bucket", "_sum", "_count")
    known = {name + suffix for name in metric_names() for suffix in suffixes}
    assert set(re.findall(r"\bllama_operator_[a-z_]+", text_of(page))) <= known
    engines = {name for engine in ENGINES.values() for name in engine.metric_names()}
    assert set(re.findall(r"\bvllm:[a-z0-9_]+", text_of(page))) <= engines


def test_the_table_of_rights_is_the_role() -> None:
    granted: dict[str, set[str]] = {}
    for document in yaml.safe_load_all((ROOT / "manifests/rbac.yaml").read_text(encoding="utf-8")):
        if document["kind"].endswith("Role") and document["metadata"]["name"] == "llama-operator":
            for rule in document["rules"]:
                for resource in rule["resources"]:
                    granted.setdefault(resource, set()).update(rule["verbs"])
    told = {
        resource: set(row[1].split(", "))
        for row in table("docs/how-to/operate.md", "resource")
        for resource in re.findall(r"`([\w/]+)`", row[0])
    }
    assert told == granted


def test_ports_and_paths_of_health_are_those_of_the_chart() -> None:
    text = (ROOT / "manifests/deployment.yaml").read_text(encoding="utf-8")
    container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    rows = table("docs/how-to/operate.md", "port")
    assert {row[1].strip("`") for row in rows if row[0] == ports["health"]} == paths
    assert [row[1] for row in rows if row[0] == ports["metrics"]] == ["`/metrics`"]


def test_values_of_the_install_page_exist_with_their_default() -> None:
    values = yaml.safe_load((ROOT / "charts/llama-operator/values.yaml").read_text("utf-8"))
    for names, default, _ in table("docs/how-to/install.md", "value"):
        for name in re.findall(r"`([\w.]+)`", names):
            found = values
            for key in name.split("."):
                assert key in found, name
                found = found[key]
            if default in ("`true`", "`false`", "`2`", "`[]`"):
                assert yaml.safe_load(default.strip("`")) == found, name
