from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.reconcile.pods import pod_facts


def pod(status: dict[str, Any], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "llama-a-0",
            "uid": "u1",
            "labels": {"app.kubernetes.io/instance": "llama", "controller-revision-hash": "h1"},
        },
        "spec": {
            "containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "4"}}}],
            **(spec or {}),
        },
        "status": status,
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "containerStatuses": [
            {"image": "i:1", "state": {"waiting": {"reason": reason, "message": message}}}
        ]
    }


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    terminated = {"exitCode": code, "reason": reason, "message": message}
    return {
        "containerStatuses": [
            {
                "image": "i:1",
                "ready": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": terminated},
            }
        ]
    }


def test_a_bound_ready_pod_holds_its_gpus() -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
    facts = pod_facts(pod(status, {"nodeName": "n1"}))
    assert facts is not None
    assert (facts.ready, facts.node, facts.gpus, facts.failure) == (True, "n1", 4, None)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({"nvidia.com/gpu": "4"}, ("nvidia.com/gpu", 4), id="whole cards"),
        pytest.param(
            {"nvidia.com/mig-1g.10gb": "1", "cpu": "4"}, ("nvidia.com/mig-1g.10gb", 1), id="a slice"
        ),
        pytest.param(
            {"nvidia.com/gpu.shared": "1"}, ("nvidia.com/gpu.shared", 1), id="a shared card"
        ),
        pytest.param({"cpu": "4"}, ("", 0), id="none"),
    ],
)
def test_a_pod_holds_gpus_of_its_resource(
    limits: dict[str, str], expected: tuple[str, int]
) -> None:
    container = {"name": "engine", "resources": {"limits": limits}}
    facts = pod_facts(pod({}, {"containers": [container]}))
    assert facts is not None
    assert (facts.gpu_resource, facts.gpus) == expected


def test_a_pod_without_our_labels_is_none_of_ours() -> None:
    assert pod_facts({"metadata": {"name": "x", "uid": "u"}}) is None


def test_the_scheduler_found_no_node() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    facts = pod_facts(pod({"conditions": [condition], "phase": "Pending"}))
    assert facts is not None
    assert facts.unschedulable
    assert facts.failure is None


@pytest.mark.parametrize(
    ("status", "reason", "text", "needs_edit"),
    [
        pytest.param(
            waiting("ImagePullBackOff"),
            Reason.IMAGE_PULL_FAILED,
            "i:1",
            False,
            id="image cannot be pulled",
        ),
        pytest.param(
            waiting("ErrImagePull", "rpc error"),
            Reason.IMAGE_PULL_FAILED,
            "i:1",
            False,
            id="the first failure to pull reads the same as the back-off",
        ),
        pytest.param(
            waiting("InvalidImageName"),
            Reason.IMAGE_PULL_FAILED,
            "spec.engine.image",
            True,
            id="an image name that only an edit can mend",
        ),
        pytest.param(
            waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
            Reason.CONTAINER_FAILED,
            'secret "hf-token" not found',
            False,
            id="a missing Secret is named",
        ),
        pytest.param(
            ended(137, "OOMKilled"),
            Reason.OUT_OF_MEMORY,
            "memory limit",
            False,
            id="the node's memory limit",
        ),
        pytest.param(
            ended(1, message="Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried ..."),
            Reason.OUT_OF_MEMORY,
            "CUDA out of memory",
            False,
            id="GPU memory by the engine's words",
        ),
        pytest.param(
            ended(1, message="huggingface_hub.errors.GatedRepoError: 401 Client Error.\nsee above"),
            Reason.REPOSITORY_ACCESS_DENIED,
            "GatedRepoError: 401 Client Error.",
            False,
            id="a gated repository without a token",
        ),
        pytest.param(
            ended(2, message="usage:\n unrecognized arguments: --x\n"),
            Reason.CONTAINER_FAILED,
            "exit code 2: unrecognized arguments: --x",
            False,
            id="the last line of the message tells why",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on disk"},
            Reason.CONTAINER_FAILED,
            "low on disk",
            False,
            id="evicted",
        ),
    ],
)
def test_why_a_pod_cannot_serve(
    status: dict[str, Any], reason: str, text: str, needs_edit: bool
) -> None:
    facts = pod_facts(pod(status))
    assert facts is not None
    assert facts.failure is not None
    assert facts.failure.reason == reason
    assert text in facts.failure.message
    assert facts.failure.needs_edit == needs_edit


def test_a_long_message_is_cut() -> None:
    facts = pod_facts(pod(ended(1, message="x" * 4000)))
    assert facts is not None
    assert facts.failure is not None
    assert len(facts.failure.message) < 400


def fetching(code: int, message: str, *, init: bool = False, reason: str = "Error") -> Any:
    """A pod whose container `fetch` ended: before an engine, or in a pod of a Job."""
    terminated = {"exitCode": code, "reason": reason, "message": message}
    status = {"name": "fetch", "image": "i:1", "ready": False, "state": {"terminated": terminated}}
    statuses = {"initContainerStatuses" if init else "containerStatuses": [status]}
    body = pod({**statuses, "phase": "Pending" if init else "Failed"}, {"nodeName": "n1"})
    if not init:
        body["metadata"]["labels"] |= {
            "app.kubernetes.io/name": "llama-fetch",
            "batch.kubernetes.io/job-name": "llama-fetch-0",
        }
        body["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    return body


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(
    ("message", "reason", "told"),
    [
        pytest.param(
            '{"reason": "RepositoryAccessDenied", "message": "accept the licence"}',
            Reason.REPOSITORY_ACCESS_DENIED, "accept the licence", id="a licence",
        ),
        pytest.param(
            '{"reason": "VolumeTooSmall", "message": "2 GiB are missing"}',
            Reason.VOLUME_TOO_SMALL, "2 GiB are missing", id="a volume",
        ),
        pytest.param(
            '{"reason": "NoSuchWord", "message": "no answer"}',
            Reason.DOWNLOAD_FAILED, "no answer", id="another word",
        ),
        pytest.param("Traceback\nboom", Reason.DOWNLOAD_FAILED, "boom", id="no JSON"),
        pytest.param("[1]", Reason.DOWNLOAD_FAILED, "[1]", id="JSON of another shape"),
        pytest.param("", Reason.DOWNLOAD_FAILED, "Error", id="nothing"),
    ],
)  # fmt: skip
def test_why_a_download_ended(init: bool, message: str, reason: Reason, told: str) -> None:
    facts = pod_facts(fetching(1, message, init=init))
    assert facts is not None
    assert facts.failure is not None
    assert (facts.failure.reason, facts.failure.message) == (reason, f"pod llama-a-0: {told}")
    assert (facts.job, facts.created) == (
        ("", "") if init else ("llama-fetch-0", "2026-01-02T03:04:05Z")
    )


def test_a_download_that_ended_well_is_no_failure() -> None:
    facts = pod_facts(fetching(0, "{}", init=True))
    assert facts is not None
    assert facts.failure is None


@pytest.mark.parametrize(
    ("status", "port", "deleting", "address"),
    [
        pytest.param(
            {"phase": "Running", "podIP": "10.0.0.7"}, 8090, False, "10.0.0.7:8090", id="it runs"
        ),
        pytest.param(
            {"phase": "Running", "podIP": "fd00::7"}, 8090, False, "[fd00::7]:8090", id="IPv6"
        ),
        pytest.param({"phase": "Running"}, 8090, False, "", id="no address yet"),
        pytest.param({"phase": "Pending", "podIP": "10.0.0.7"}, 8090, False, "", id="it waits"),
        pytest.param({"phase": "Succeeded", "podIP": "10.0.0.7"}, 8090, False, "", id="it is done"),
        pytest.param({"phase": "Running", "podIP": "10.0.0.7"}, 8090, True, "", id="it ends"),
        pytest.param({"phase": "Running", "podIP": "10.0.0.7"}, 0, False, "", id="of old"),
        pytest.param({"phase": "Running", "podIP": "10.0.0.7"}, 22, False, "", id="another port"),
    ],
)
def test_where_a_download_tells_how_far_it_is(
    status: dict[str, Any], port: int, deleting: bool, address: str
) -> None:
    body = fetching(0, "")
    body["status"] = status
    ports = [{"name": "progress", "containerPort": port}] if port else []
    body["spec"]["containers"] = [{"name": "fetch", "ports": ports}]
    if deleting:
        body["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    facts = pod_facts(body)
    assert facts is not None
    assert facts.progress_address == address


def test_an_engine_is_not_asked_how_far_it_is() -> None:
    body = pod({"phase": "Running", "podIP": "10.0.0.7"})
    body["spec"] = {"containers": [{"ports": [{"containerPort": 8090}]}]}
    facts = pod_facts(body)
    assert facts is not None
    assert facts.progress_address == ""
