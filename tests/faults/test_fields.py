"""A walk over every field of the API: set it, change it, unset it, break it, revert it.

After each step the children are those of a fresh render, and another deployment that was made at
once with the same spec has the same ones. Each field is walked by client-side and by server-side
apply; all fields take a step together.
"""

import json
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.constraints import walk
from cluster.world import CHILD_PATHS, World, gpu_node
from controlplane import GpuNode, wait_until
from faults.conftest import StartOperator
from faults.field_rows import (
    A100,
    BASE,
    CLAIMED,
    CLAIMS,
    H100,
    ROWS,
    SERVING,
    STEPS,
    STORAGE_CLASSES,
    Row,
)
from faults.oracle import Oracle, Seen
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(33)]

CRD = Path(__file__).resolve().parents[2] / "crds" / "llamadeployments.llama-operator.io.yaml"
MANNERS = {"c": (), "s": ("--server-side",)}
"""Suffix of a deployment's name, and how kubectl applies it."""
SERVER_METADATA = (
    *("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"),
    "ownerReferences",
)
UNTOLD = ("pods", "jobs", "persistentvolumeclaims")
"""What may be left of a spec before; the record tells which of them serve."""
WITHIN = 240.0
NAMED = """\
{apiVersion: v1, kind: ServiceAccount, metadata: {name: models}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: other-models}}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: nvidia}, handler: nvidia}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: other-nvidia}, handler: nvidia}
"""
"""Objects that values of the rows name, and without which pods are refused."""


def test_every_field_of_the_crd_has_a_row() -> None:
    [version] = yaml.safe_load(CRD.read_text(encoding="utf-8"))["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    fields = {path for path, _ in walk(spec, "spec")} - {"spec"}
    assert sorted(row.path for row in ROWS) == sorted(fields)
    for row in ROWS:
        specs = [json.dumps(row.spec(step), sort_keys=True) for step in ("base", "set", "change")]
        assert specs[1] not in (specs[0], specs[2]), f"{row.path} is not changed"


def manifests(world: World, specs: dict[str, dict[str, Any]]) -> str:
    return "---\n".join(world.manifest(name, spec) for name, spec in specs.items())


def specs_of(step: str, suffix: str) -> dict[str, dict[str, Any]]:
    return {f"{row.name}-{suffix}": row.spec(step) for row in ROWS}


def walked() -> Iterator[tuple[Row, str]]:
    for row in ROWS:
        for suffix in MANNERS:
            yield row, f"{row.name}-{suffix}"


def templates(seen: Seen) -> dict[str, tuple[str, int]]:
    """What decides on the pods of each deployment: the pod template and the replicas."""
    return {
        item["metadata"]["labels"]["app.kubernetes.io/instance"]: (
            json.dumps(item["spec"]["template"], sort_keys=True),
            item["spec"]["replicas"],
        )
        for item in seen.owned["statefulsets"]
    }


def uids(seen: Seen, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in seen.pods[name]}


def assert_pods_kept(before: Seen, after: Seen) -> None:
    """Where template and replicas are the same, so are the pods."""
    then, now = templates(before), templates(after)
    for name in then.keys() & now.keys():
        if then[name] == now[name]:
            assert uids(before, name) == uids(after, name), f"pods of {name} were replaced"


def told_children(seen: Seen, name: str) -> list[Any]:
    """Children of a deployment without names and what the API server adds; the newest record."""
    told, records = [], []
    for plural in CHILD_PATHS:
        for item in seen.owned[plural]:
            metadata = item["metadata"]
            if metadata["labels"]["app.kubernetes.io/instance"] != name or plural in UNTOLD:
                continue
            if plural == "controllerrevisions":
                records.append((item["revision"], item["data"]))
                continue
            kept = {key: value for key, value in metadata.items() if key not in SERVER_METADATA}
            spec = {k: v for k, v in item["spec"].items() if not k.startswith("clusterIP")}
            told.append({"kind": plural, "metadata": kept, "spec": spec})
    _, record = max(records, key=lambda entry: entry[0])
    plan = {k: v for k, v in record["plan"].items() if k not in ("reasons", "summary")}
    texts = json.dumps([*told, {**record, "plan": plan}], sort_keys=True)
    uid = seen.llamas[name]["metadata"]["uid"]
    # A whole name: speculative-c begins an argument of vLLM's, too.
    texts = re.sub("-fetch-[0-9a-f]{10}", "-fetch-HASH", texts)
    named = re.sub(rf"(?<![\w-]){re.escape(name)}(?![a-z0-9])", "NAME", texts)
    found = json.loads(named.replace(uid, "UID"))
    return [_without_revision(part) for part in found]


def _without_revision(value: Any) -> Any:
    """The value without the name of the record, which is a hash of the deployment's name too."""
    if isinstance(value, dict):
        return {
            key: _without_revision(item)
            for key, item in value.items()
            if key != "llama-operator.io/revision"
        }
    return [_without_revision(item) for item in value] if isinstance(value, list) else value


def fresh_twins(step: str) -> dict[str, Row]:
    """Names of new deployments, one for each spec that the rows have at a step."""
    specs: dict[str, tuple[str, Row]] = {}
    for row in ROWS:
        specs.setdefault(json.dumps(row.spec(step), sort_keys=True), (f"{row.name}-f", row))
    return dict(specs.values())


def assert_like_fresh(world: World, oracle: Oracle, twins: dict[str, Row], step: str) -> None:
    """Deployments have the children of others that never had another spec."""
    seen = oracle.see(CHILD_PATHS)
    for twin, same in twins.items():
        expected = told_children(seen, twin)
        for row, name in walked():
            if row.spec(step) == same.spec(step):
                assert told_children(seen, name) == expected, f"{name} after {step}"


def wait_gone(world: World, oracle: Oracle, names: Collection[str]) -> None:
    world.wait("they are gone", lambda: not set(names) & oracle.see().pods.keys(), WITHIN)


def refuse(world: World, oracle: Oracle, before: Seen) -> None:
    """A value that cannot be planned is told, and what ran goes on untouched."""
    wanted = {name: row.refused[1] for row, name in walked() if row.refused is not None}

    def missing() -> str:
        for name, llama in oracle.deployments().items():
            status = llama["status"]
            told = {entry["type"]: entry["reason"] for entry in status["conditions"]}
            expected = {"Ready": SERVING}
            if name in wanted:
                expected["Stalled"] = wanted[name]
            if status["observedGeneration"] != llama["metadata"]["generation"]:
                return f"{name} is not looked at"
            if told != expected:
                pods = [pod["status"] for pod in oracle.see().pods.get(name, [])]
                said = f"{name} says {told} instead of {expected}: {status['conditions']}"
                return f"{said}; pods: {json.dumps(pods)}"
        return ""

    try:
        wait_until("all refusals are told", lambda: not missing(), timeout=WITHIN)
    except TimeoutError:
        raise AssertionError(missing()) from None
    after = oracle.see(CHILD_PATHS)
    for row, name in walked():
        if row.refused is not None:
            assert uids(before, name) == uids(after, name), f"{name}: what ran was touched"
            assert templates(before)[name] == templates(after)[name], name


def test_every_field_is_set_changed_unset_refused_and_reverted(
    world: World, start_operator: StartOperator, oracle: Oracle, record_property: Any
) -> None:
    operator = start_operator("--allow-host-path")
    world.add_nodes(
        *(gpu_node(f"a100-{number}", A100, 8) for number in range(64)),
        *(gpu_node(f"h100-{number}", H100, 8) for number in range(2)),
        GpuNode("cpu-0"),
    )
    world.apply_text(NAMED)
    for storage_class in ("", *STORAGE_CLASSES):
        world.add_volumes(4 * len(CLAIMED), storage_class)
    for name in CLAIMS:
        world.add_claim(name)
    started = time.monotonic()
    before: Seen | None = None
    for step in STEPS:
        for suffix, how in MANNERS.items():
            text = manifests(world, specs_of(step, suffix))
            world.kubectl("apply", *how, "-f", "-", stdin=text)
        if step == "refuse":
            assert before is not None
            refuse(world, oracle, before)
            continue
        reasons = {name: row.reasons[step] for row, name in walked() if step in row.reasons}
        keeping = [name for row, name in walked() if step == "unset" and row.keeps_plan]
        oracle.check(
            operator, reasons=reasons, keeps_plan=keeping, within=WITHIN, quiet_seconds=1.0
        )
        after = oracle.see(CHILD_PATHS)
        if before is not None:
            assert_pods_kept(before, after)
        before = after
        if step in ("change", "revert"):
            twins = fresh_twins(step)
            world.apply_text(
                manifests(world, {name: row.spec(step) for name, row in twins.items()})
            )
            told = {name: row.reasons[step] for name, row in twins.items() if step in row.reasons}
            oracle.check(operator, reasons=reasons | told, within=WITHIN, quiet_seconds=1.0)
            assert_like_fresh(world, oracle, twins, step)
            world.kubectl("delete", "llama", *twins)
            wait_gone(world, oracle, twins)
    record_property("figure.field-walk-seconds", round(time.monotonic() - started, 1))
    record_property("figure.field-walk-fields", len(ROWS))


def test_a_required_field_cannot_be_unset_and_all_goes_on(
    world: World, operator: OperatorProcess, oracle: Oracle
) -> None:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    required = [row for row in ROWS if row.required]
    for row in required:
        for suffix, how in MANNERS.items():
            name = f"{row.name}-{suffix}"
            text = world.manifest(name, row.base)
            world.kubectl("apply", *how, "-f", "-", stdin=text)
            spec = {key: value for key, value in BASE.items() if f"spec.{key}" != row.path}
            said = world.refused("apply", *how, "-f", "-", stdin=world.manifest(name, spec))
            assert f"{row.path}" in said
            assert "required" in said
    oracle.check(operator)
    for row in required:
        for suffix in MANNERS:
            before = oracle.picture()
            world.kubectl("label", "llama", f"{row.name}-{suffix}", "looked=at")
            oracle.check(operator, kept=before)
