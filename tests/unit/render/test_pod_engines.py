"""Pod templates of every engine: what the container says is what the pod has."""

from typing import Any

import pytest

from llama_operator.api.plan import Plan
from llama_operator.engines.engine import ExecProbe, Probe
from llama_operator.render.pod import pod_template
from unit.engines.engine_plans import PLANS, container, deployment

ALL = [pytest.param(plan, id=name) for name, plan in PLANS.items()]


def rendered(probe: Probe) -> dict[str, Any]:
    how: dict[str, Any] = (
        {"exec": {"command": list(probe.command)}}
        if isinstance(probe, ExecProbe)
        else {"httpGet": {"path": probe.path, "port": "http"}}
    )
    return how | {
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": probe.failure_threshold,
    }


@pytest.mark.parametrize("plan", ALL)
def test_the_pod_is_that_of_the_container(plan: Plan) -> None:
    made = container(plan)
    pod = pod_template(plan, deployment())["spec"]
    [engine] = pod["containers"]

    assert engine["image"] == made.image
    assert engine.get("command", []) == list(made.command)
    assert engine.get("args", []) == list(made.args)
    assert [one["name"] for one in engine["env"]] == [one.name for one in made.env]
    assert engine["startupProbe"] == rendered(made.startup)
    assert engine["readinessProbe"] == rendered(made.readiness)
    assert engine["livenessProbe"] == rendered(made.liveness)
    assert engine["lifecycle"] == {"preStop": {"sleep": {"seconds": made.pre_stop_seconds}}}
    assert pod["terminationGracePeriodSeconds"] == made.termination_grace_period_seconds
    assert pod.get("shareProcessNamespace", False) is made.shared_process_namespace
    assert pod["securityContext"] == {
        "runAsNonRoot": made.user_id != 0,
        "runAsUser": made.user_id,
        "runAsGroup": made.group_id,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert engine["securityContext"]["readOnlyRootFilesystem"] is made.read_only_root
    mounts = {one["name"]: one["mountPath"] for one in engine["volumeMounts"]}
    assert mounts == {one.name: one.path for one in made.scratch}
    assert [volume["name"] for volume in pod["volumes"]] == [one.name for one in made.scratch]


@pytest.mark.parametrize("plan", ALL)
def test_every_folder_that_is_written_counts_towards_a_limit(plan: Plan) -> None:
    pod = pod_template(plan, deployment())["spec"]

    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"])
    in_memory = {
        volume["name"]: volume["emptyDir"]
        for volume in pod["volumes"]
        if volume["emptyDir"].get("medium") == "Memory"
    }
    assert in_memory.keys() <= {"shm"}
    assert "memory" in pod["containers"][0]["resources"]["limits"]
