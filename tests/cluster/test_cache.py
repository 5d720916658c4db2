"""Models on volumes: downloaded by a Job without a GPU, then served from there."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.kstatus import kstatus
from cluster.world import World, gpu_node
from cluster.writes import operator_writes, told
from controlplane import GpuNode
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
CACHED = {**SMALL, "cache": {"claim": {}}}
OTHER = {**CACHED, "format": "gptq"}
GROWING = "growing"
"""A storage class whose claims may grow."""


@pytest.fixture
def a100(world: World) -> World:
    """GPU nodes keep other pods off, so downloads run on one without."""
    world.add_nodes(gpu_node("a100-0", A100, 8), GpuNode("cpu-0"))
    return world


@pytest.fixture
def growing(a100: World) -> Iterator[World]:
    """A storage class whose claims may grow."""
    a100.api.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": GROWING},
            "provisioner": "example.com/none",
            "allowVolumeExpansion": True,
        },
    )
    yield a100
    a100.kubectl("delete", "storageclass", GROWING)


def jobs(world: World) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in world.owned("jobs")}


def is_complete(job: dict[str, Any]) -> bool:
    return any(
        entry["type"] == "Complete" and entry["status"] == "True"
        for entry in job.get("status", {}).get("conditions", ())
    )


def end_download(world: World, name: str, code: int, message: str) -> None:
    """What a kubelet would say of the download of a deployment, whose pod has no volume yet."""
    world.wait("a download is begun", lambda: pending(world, name))
    for pod in pending(world, name):
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
        status = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [
                {
                    "name": "fetch",
                    "image": "i:1",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": ended},
                }
            ],
        }
        patch = json.dumps({"status": status})
        world.kubectl(
            "patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge",
            "-p", patch,
        )  # fmt: skip


def pending(world: World, name: str) -> list[dict[str, Any]]:
    return [
        pod
        for pod in world.pods(name, "llama-fetch")
        if pod["status"].get("phase") == "Pending" and not pod["metadata"].get("deletionTimestamp")
    ]


def model_of(world: World, name: str) -> set[str]:
    """Repositories that the pods of a deployment serve."""
    return {pod["spec"]["containers"][0]["args"][0] for pod in world.pods(name)}


def test_the_pods_start_once_the_model_is_on_the_claim(
    a100: World, operator: OperatorProcess
) -> None:
    position = a100.plane.audit_position()
    a100.apply("small", {**CACHED, "tokenSecretRef": {"name": "hf-token"}})
    message = a100.wait_condition("small", "Reconciling", "True", "Downloading")
    assert "claim small-models" in message
    assert a100.conditions("small")["Ready"][:2] == ("False", "Downloading")
    assert kstatus(a100.llama("small")) == "InProgress"
    assert a100.llama("small")["status"]["plan"]["cache"]["kind"] == "Claim"
    children = a100.children()
    assert set(children["persistentvolumeclaims"]) == {"small-models"}
    assert len(children["jobs"]) == 1
    assert not children["statefulsets"]
    assert not a100.pods("small")
    a100.wait("its download is begun", lambda: a100.pods("small", "llama-fetch"))
    [fetch] = a100.pods("small", "llama-fetch")
    assert "nvidia.com/gpu" not in json.dumps(fetch["spec"])
    assert "hf-token" in json.dumps(fetch["spec"])
    a100.add_volumes()
    a100.wait_ready("small")
    [pod] = a100.pods("small")
    [container] = pod["spec"]["containers"]
    assert "hf-token" not in json.dumps(pod["spec"])
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
    assert {"name": "cache", "mountPath": "/cache", "readOnly": True} in container["volumeMounts"]
    written = told(operator_writes(a100, position))
    # Downloading, without a volume and then with one, Starting and Serving; those in the middle are
    # left out where the next one is true before.
    assert written.pop("patch llamadeployments/status") in range(2, 6)
    assert written == {
        "create controllerrevisions": 1,
        "create services": 2,
        "create persistentvolumeclaims": 1,
        "create jobs": 1,
        "create statefulsets": 1,
    }
    endpoints = a100.kubectl("get", "endpointslices", "-o", "json")
    targets = {
        endpoint["targetRef"]["name"]
        for item in json.loads(endpoints)["items"]
        for endpoint in item["endpoints"] or ()
    }
    assert targets == {"small-a-0"}


def test_another_model_is_downloaded_while_the_old_one_serves(
    growing: World, operator: OperatorProcess
) -> None:
    world = growing
    claim = {"cache": {"claim": {"storageClassName": GROWING}}}
    world.add_volumes(1, GROWING)
    world.apply("small", {**SMALL, **claim})
    world.wait_ready("small")
    before, served = world.pod_uids("small"), model_of(world, "small")
    [first] = world.owned("persistentvolumeclaims")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-more-pods"},
        "spec": {"hard": {"requests.memory": "15Gi"}},
    }
    world.apply_text(json.dumps(quota))
    world.wait(
        "the quota counts",
        lambda: json.loads(world.kubectl("get", "resourcequota", "no-more-pods", "-o", "json"))
        .get("status", {}).get("used"),
    )  # fmt: skip
    world.apply("small", {**OTHER, **claim})
    world.wait_condition("small", "Reconciling", "True", "Downloading")
    assert world.conditions("small")["Ready"][:2] == ("True", "Serving")
    assert world.pod_uids("small") == before
    world.kubectl("annotate", "llama", "small", "look=again")
    world.wait_condition("small", "Reconciling", "True", "Downloading")
    assert model_of(world, "small") == served
    [grown] = world.owned("persistentvolumeclaims")
    assert grown["metadata"]["uid"] == first["metadata"]["uid"]
    assert grown["spec"]["resources"] != first["spec"]["resources"]
    world.kubectl("delete", "resourcequota", "no-more-pods")
    world.wait("its model is another", lambda: model_of(world, "small").isdisjoint(served))
    world.wait_ready("small")
    assert len(jobs(world)) == 2
    assert all(is_complete(job) for job in jobs(world).values())
    world.apply("small", {**SMALL, **claim})
    world.wait("it went back", lambda: model_of(world, "small") == served)
    world.wait_ready("small")
    assert len(jobs(world)) == 2


def test_scaling_goes_on_while_another_model_is_downloaded(
    a100: World, operator: OperatorProcess
) -> None:
    a100.add_claim("first")
    a100.apply("small", {**SMALL, "cache": {"claim": {"name": "first"}}})
    a100.wait_ready("small")
    served = model_of(a100, "small")
    a100.apply("small", {**OTHER, "cache": {"claim": {"name": "second"}}, "replicas": 2})
    a100.wait("two pods are ready", lambda: a100.llama("small")["status"]["readyReplicas"] == 2)
    a100.wait_condition("small", "Reconciling", "True", "Downloading")
    assert model_of(a100, "small") == served
    a100.kubectl("delete", "service", "small")
    a100.wait("the Service is back", lambda: "small" in a100.children()["services"])
    assert {mounted(pod) for pod in a100.pods("small")} == {"first"}
    a100.add_claim("second")
    a100.wait("its model is another", lambda: model_of(a100, "small").isdisjoint(served))
    a100.wait_ready("small")
    assert {mounted(pod) for pod in a100.pods("small")} == {"second"}


def mounted(pod: dict[str, Any]) -> str:
    [claim] = [entry for entry in pod["spec"]["volumes"] if "persistentVolumeClaim" in entry]
    return str(claim["persistentVolumeClaim"]["claimName"])


def test_a_download_that_fails_is_told_and_an_edit_tries_it_again(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", CACHED)
    end_download(a100, "small", 1, '{"reason": "NoSuchWord", "message": "the hub is away"}')
    message = a100.wait_condition("small", "Reconciling", "True", "DownloadFailed")
    assert "the hub is away" in message
    assert "it is tried again" in message
    assert set(a100.conditions("small")) == {"Ready", "Reconciling"}
    said = '{"reason": "RepositoryAccessDenied", "message": "accept the licence of org/model"}'
    end_download(a100, "small", 2, said)
    message = a100.wait_condition("small", "Stalled", "True", "RepositoryAccessDenied")
    assert "accept the licence of org/model" in message
    [job] = jobs(a100).values()
    assert f"Job {job['metadata']['name']}" in message
    assert set(a100.conditions("small")) == {"Ready", "Stalled"}
    assert kstatus(a100.llama("small")) == "Failed"
    a100.apply("small", {**CACHED, "tokenSecretRef": {"name": "hf-token"}})
    a100.wait(
        "it is tried again",
        lambda: (
            {item["metadata"]["uid"] for item in jobs(a100).values()}.isdisjoint(
                {job["metadata"]["uid"]}
            )
            and jobs(a100)
        ),
    )
    a100.wait_condition("small", "Reconciling", "True", "Downloading")
    a100.add_volumes()
    a100.wait_ready("small")


def test_an_operator_that_was_away_goes_on_where_the_download_is(
    a100: World, shared_operator: list[OperatorProcess]
) -> None:
    a100.apply("small", CACHED)
    a100.wait_condition("small", "Reconciling", "True", "Downloading")
    before = a100.children()
    assert shared_operator[0].stop() == 0
    try:
        a100.add_volumes()
        a100.wait("the model is there", lambda: all(map(is_complete, jobs(a100).values())))
    finally:
        shared_operator[0] = OperatorProcess(a100.plane, shared_operator[0].log.parent)
        shared_operator[0].wait_ready()
    a100.wait_ready("small")
    after = a100.children()
    for plural in ("jobs", "persistentvolumeclaims", "controllerrevisions", "services"):
        assert after[plural] == before[plural]


def test_deleting_removes_claim_and_job_too(a100: World, operator: OperatorProcess) -> None:
    a100.add_volumes()
    a100.apply("small", CACHED)
    a100.wait_ready("small")
    assert all(a100.children()[plural] for plural in ("jobs", "persistentvolumeclaims"))
    a100.kubectl("delete", "llama", "small")
    a100.wait("all children are gone", lambda: not any(a100.children().values()))


def test_a_claim_of_that_name_that_is_not_ours_is_told(
    a100: World, operator: OperatorProcess
) -> None:
    a100.add_claim("small-models")
    a100.apply("small", CACHED)
    message = a100.wait_condition("small", "Stalled", "True", "NameConflict")
    assert "PersistentVolumeClaim small-models" in message
    a100.kubectl("delete", "llama", "small")


@pytest.mark.parametrize("plural", ["jobs", "persistentvolumeclaims"])
def test_what_lost_its_labels_gets_them_back(
    a100: World, operator: OperatorProcess, plural: str
) -> None:
    a100.add_volumes()
    a100.apply("small", CACHED)
    a100.wait_ready("small")
    before = a100.children()
    [name] = before[plural]
    labels = ("app.kubernetes.io/instance-", "app.kubernetes.io/managed-by-")
    a100.kubectl("label", plural, name, *labels)
    a100.wait("it is ours again", lambda: a100.children() == before)
    a100.wait_ready("small")


def test_a_claim_that_cannot_grow_but_has_room_hinders_nothing(
    a100: World, operator: OperatorProcess
) -> None:
    a100.add_volumes()
    a100.apply("small", CACHED)
    a100.wait_ready("small")
    before, position = model_of(a100, "small"), a100.plane.audit_position()
    a100.apply("small", OTHER)
    # There is room on this volume all the same: the download ends, and the pods follow.
    a100.wait("its model is another", lambda: model_of(a100, "small").isdisjoint(before))
    a100.wait_ready("small", timeout=90)
    refused = [
        event
        for event in operator_writes(a100, position)
        if (event.verb, event.resource) == ("patch", "persistentvolumeclaims")
    ]
    assert {event.code for event in refused} == {403}


def test_an_image_needs_no_download(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", {**SMALL, "cache": {"image": "registry.example.com/llama:1"}})
    a100.wait_ready("small")
    [pod] = a100.pods("small")
    [volume] = [entry for entry in pod["spec"]["volumes"] if entry["name"] == "cache"]
    assert volume["image"]["reference"] == "registry.example.com/llama:1"
    assert not any(a100.children()[plural] for plural in ("jobs", "persistentvolumeclaims"))


def test_folders_of_nodes_are_refused_unless_the_operator_was_told(
    a100: World, shared_operator: list[OperatorProcess]
) -> None:
    a100.apply("small", {**SMALL, "cache": {"hostPath": "/mnt/models"}})
    message = a100.wait_condition("small", "Stalled", "True", "InvalidSpec")
    assert "spec.cache.hostPath" in message
    assert "--allow-host-path" in message
    assert not any(a100.children().values())
    directory = shared_operator[0].log.parent
    assert shared_operator[0].stop() == 0
    try:
        arguments = ("--allow-host-path", "--downloader-image=registry.example.com/fetch:1")
        shared_operator[0] = OperatorProcess(a100.plane, directory, arguments=arguments)
        shared_operator[0].wait_ready()
        a100.wait_ready("small")
        [pod] = a100.pods("small")
        [fetch] = pod["spec"]["initContainers"]
        assert fetch["image"] == "registry.example.com/fetch:1"
        assert shared_operator[0].stop() == 0
    finally:
        shared_operator[0] = OperatorProcess(a100.plane, directory)
        shared_operator[0].wait_ready()
    a100.wait_ready("small")
