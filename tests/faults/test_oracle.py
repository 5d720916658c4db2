"""The judge itself: it lets a sound world pass, and each kind of damage fails."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.world import GROUP_PATH, World, gpu_node
from controlplane import ControlPlane, wait_until
from faultproxy import FaultProxy
from faults.conftest import fault_proxy, operators
from faults.oracle import Oracle, Picture, assert_sound
from workstation import OperatorProcess
from workstation.install import NAMESPACE, SERVICE_ACCOUNT

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
OURS = {"app.kubernetes.io/managed-by": "llama-operator", "app.kubernetes.io/instance": "small"}
WATCHES = 13
"""Six kinds of children, pods, nodes, two of devices, one CRD, catalog rows and deployments."""
Damage = Callable[[World], None]


class Judged:
    """One served deployment, an operator that can be blinded, and the judge."""

    def __init__(self, world: World, proxy: FaultProxy, operator: OperatorProcess) -> None:
        self.world, self.proxy, self.operator = world, proxy, operator
        self.oracle = Oracle(world)

    def blind(self) -> None:
        """From now on the operator sees nothing, so that it mends nothing."""
        wait_until("all watches are open", lambda: len(self.proxy.watches()) == WATCHES)
        assert self.proxy.streams(lambda stream: stream.freeze()) == WATCHES

    def heal(self) -> None:
        """Let it see again, and wait until all is well."""
        self.world.kubectl("delete", "service,pod", "--selector=damage", "--wait=false")
        self.proxy.streams(lambda stream: stream.reset())
        wait_until("all is well again", lambda: not self.verdict(quiet_seconds=0.3), timeout=60)

    def verdict(self, kept: Picture | None = None, quiet_seconds: float = 1.0) -> str:
        """What the judge has against it; empty when nothing."""
        try:
            self.oracle.check(self.operator, kept=kept, within=1.0, quiet_seconds=quiet_seconds)
        except AssertionError as error:
            return str(error) or "something"
        return ""


@pytest.fixture(scope="module")
def judged(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    directory = tmp_path_factory.mktemp("oracle")
    with (
        fault_proxy(installed, "oracle") as proxy,
        operators(installed, proxy, directory) as start,
    ):
        world = World(installed, "judged", directory)
        world.add_nodes(gpu_node("judged-0", A100, 4))
        operator = start()
        world.apply("small", SMALL)
        made = Judged(world, proxy, operator)
        made.oracle.check(operator)
        yield made
        world.close()


def test_a_sound_world_passes_and_the_proxy_saw_every_write(judged: Judged) -> None:
    judged.oracle.check(judged.operator, kept=judged.oracle.picture())
    writes = [
        call.resource
        for call in judged.proxy.calls()
        if call.is_write and "lease" not in call.resource
    ]
    assert sorted(set(writes)) == [
        "controllerrevisions",
        "events",
        "llamadeployments/status",
        "services",
        "statefulsets",
    ]


def kubectl(*arguments: str) -> Damage:
    def damage(world: World) -> None:
        world.kubectl(*arguments)

    return damage


def patch(*target: str, **body: Any) -> Damage:
    return kubectl("patch", *target, "--type=merge", "--patch", json.dumps(body))


def scale_in(world: World) -> None:
    patch("statefulset", "small-a", spec={"replicas": 0})(world)
    world.wait("its pod is gone", lambda: not world.pods("small"))


def status(**fields: Any) -> Damage:
    return patch("llama", "small", "--subresource=status", status=fields)


def condition(**fields: Any) -> Damage:
    """Add a condition, or change that of the type."""

    def damage(world: World) -> None:
        told = {e["type"]: e for e in world.llama("small")["status"]["conditions"]}
        told[fields["type"]] = {**told["Ready"], **fields}
        status(conditions=list(told.values()))(world)

    return damage


def plan_of_another(world: World) -> None:
    status(plan={**world.llama("small")["status"]["plan"], "maxModelLen": 8})(world)


def add_service(owned: bool) -> Damage:
    def damage(world: World) -> None:
        metadata = {"name": "surplus", "labels": {**OURS, "damage": ""}}
        if owned:
            owner = world.owned("services")[0]["metadata"]["ownerReferences"]
            metadata["ownerReferences"] = owner
        spec = {"clusterIP": "None", "ports": [{"port": 80}]}
        world.api.create(
            f"/api/v1/namespaces/{world.namespace}/services", {"metadata": metadata, "spec": spec}
        )

    return damage


def add_pod(world: World) -> None:
    """It waits for its gate, so that it is no replica that serves."""
    spec = {
        "containers": [{"name": "main", "image": "none"}],
        "schedulingGates": [{"name": "example.com/never"}],
    }
    labels = {**OURS, "app.kubernetes.io/instance": "other", "damage": ""}
    body = {"metadata": {"name": "stray", "labels": labels}, "spec": spec}
    world.api.create(f"/api/v1/namespaces/{world.namespace}/pods", body)


def replace_pod(world: World) -> None:
    [pod] = world.pods("small")
    world.kubectl("delete", "pod", pod["metadata"]["name"])
    world.wait(
        "its successor is ready",
        lambda: any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for found in world.pods("small")
            if found["metadata"]["uid"] != pod["metadata"]["uid"]
            for entry in found.get("status", {}).get("conditions", ())
        ),
    )


def replace_service(world: World) -> None:
    path = f"/api/v1/namespaces/{world.namespace}/services"
    [old] = [item for item in world.owned("services") if item["metadata"]["name"] == "small-pods"]
    world.kubectl("delete", "service", "small-pods")
    metadata = {k: old["metadata"][k] for k in ("name", "labels", "ownerReferences")}
    spec = {k: v for k, v in old["spec"].items() if k not in ("clusterIP", "clusterIPs")}
    body = {"metadata": metadata, "spec": {**spec, "clusterIP": "None"}}
    world.api.create(f"{path}?fieldManager=llama-operator", body)


def add_records(world: World) -> None:
    [record] = world.owned("controllerrevisions")
    for number in range(5):
        metadata = {k: record["metadata"][k] for k in ("labels", "ownerReferences")}
        metadata["name"] = f"record-{number}"
        world.api.create(
            f"/apis/apps/v1/namespaces/{world.namespace}/controllerrevisions",
            {"metadata": metadata, "data": record["data"], "revision": 0},
        )


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(
            patch("service", "small", spec={"selector": {"app.kubernetes.io/instance": "other"}}),
            "('Service', 'small') is not as a fresh render makes it",
            id="a field of a child is edited",
        ),
        pytest.param(
            scale_in,
            "readyReplicas is not",
            id="another number of replicas",
        ),
        pytest.param(
            patch("statefulset", "small-a", metadata={"annotations": None}),
            "('StatefulSet', 'small-a') is not as a fresh render makes it",
            id="a field of a child is removed",
        ),
        pytest.param(
            kubectl("delete", "service", "small-pods"),
            "('Service', 'small-pods')] is missing",
            id="a child is missing",
        ),
        pytest.param(
            kubectl("delete", "controllerrevision", "--selector=app.kubernetes.io/instance=small"),
            "the plan is not the one that runs",
            id="the record is missing",
        ),
        pytest.param(
            add_service(owned=True),
            "('Service', 'surplus')] is more than a fresh render has",
            id="a child too many",
        ),
        pytest.param(
            add_service(owned=False),
            "services/surplus is an orphan",
            id="an object with our labels that belongs to nobody",
        ),
        pytest.param(add_pod, "pods/stray is an orphan", id="a pod that belongs to nobody"),
        pytest.param(add_records, "too many records", id="more records than are kept"),
        pytest.param(replace_pod, "pods are not the same ones", id="a pod was replaced"),
        pytest.param(replace_service, "services are not the same ones", id="a child was replaced"),
        pytest.param(status(readyReplicas=7), "readyReplicas is not 1", id="more ready than are"),
        pytest.param(status(replicas=7), "1 replicas are wanted", id="more replicas than asked"),
        pytest.param(
            patch("llama", "small", spec={"servedModelNames": ["edited"]}),
            "observedGeneration is not",
            id="an edit that nobody looked at",
        ),
        pytest.param(
            condition(type="Ready", status="False"), "wrong status", id="not ready though serving"
        ),
        pytest.param(
            condition(type="Ready", status="False", reason="Starting"),
            "Ready has not the reason Serving",
            id="another reason than is true",
        ),
        pytest.param(
            condition(type="Stalled", reason="InvalidSpec"),
            "more or less than what is true is told",
            id="a trouble that is none",
        ),
        pytest.param(
            condition(type="Ready", observedGeneration=0),
            "a condition is not of generation",
            id="a condition of an older spec",
        ),
        pytest.param(plan_of_another, "the plan is not the one that runs", id="another plan"),
    ],
)
def test_damage_that_nobody_mends_is_told(judged: Judged, damage: Damage, told: str) -> None:
    kept = judged.oracle.picture()
    judged.blind()
    try:
        damage(judged.world)
        assert told in judged.verdict(kept)
    finally:
        judged.heal()


def test_a_reason_that_is_expected_is_no_damage_and_another_one_is(judged: Judged) -> None:
    patch("llama", "small", spec={"suspend": True})(judged.world)
    judged.oracle.check(judged.operator, reasons={"small": "Suspended"})
    assert "Ready has not the reason Serving" in judged.verdict()
    patch("llama", "small", spec={"suspend": False})(judged.world)
    judged.heal()


@pytest.mark.parametrize(
    ("method", "told"),
    [
        pytest.param("GET", "get llamadeployments/", id="it reads"),
        pytest.param("PATCH", "patch llamadeployments/status", id="it writes"),
    ],
)
def test_an_operator_that_does_not_come_to_rest_is_told(
    judged: Judged, method: str, told: str
) -> None:
    account = judged.world.plane.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
    token = json.loads(Path(account).read_text())["users"][0]["user"]["token"]
    path = f"{GROUP_PATH}/namespaces/{judged.world.namespace}/llamadeployments/small"
    ended = threading.Event()

    def disturb() -> None:
        with judged.world.plane.api_client(token) as client:
            while not ended.wait(0.1):
                if method == "GET":
                    client.get(path)
                else:
                    client.request("PATCH", f"{path}/status", {}, "application/merge-patch+json")

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        assert told in judged.verdict()
    finally:
        ended.set()
        disturbing.join()
    judged.heal()


def test_memory_beyond_its_bound_is_told(judged: Judged) -> None:
    assert_sound(judged.operator)
    with pytest.raises(AssertionError):
        assert_sound(judged.operator, memory_limit_mib=10)


def test_a_traceback_in_the_log_is_told(judged: Judged) -> None:
    text = judged.operator.log.read_text(encoding="utf-8")
    with judged.operator.log.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"message": "a bug", "traceback": "ZeroDivisionError"}) + "\n")
    assert "ZeroDivisionError" in judged.verdict()
    judged.operator.log.write_text(text, encoding="utf-8")
    assert judged.verdict() == ""


def test_an_operator_that_died_is_told(judged: Judged) -> None:
    """The last test here: it needs the operator no more."""
    judged.operator.kill()
    with pytest.raises(AssertionError, match="-9"):
        assert_sound(judged.operator)
