"""How far a download is, and one that failed and is tried again, as the status tells it."""

import json
import os
import socket
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster.test_cache import CACHED, a100, end_download, jobs, pending
from cluster.world import World
from cluster.writes import operator_writes, told
from doubles.hub_server import HubServer, Repository
from hub.conftest import MIB, server, tiny
from hub.test_prefetch_faults import STORED, command
from hub.test_progress import halts_at
from workstation import OperatorProcess

__all__ = ["a100", "server", "tiny"]
pytestmark = pytest.mark.cluster

ADDRESS = f"127.{os.getpid() >> 16 & 127 | 64}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 | 1}"
"""Of this process alone, as a pod has one of its own; the port is the same for all."""
PORT = 8090


def patch_status(world: World, pod: str, status: dict[str, Any]) -> None:
    """What a kubelet would write."""
    patch = json.dumps({"status": status})
    world.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", patch)


def container(state: dict[str, Any]) -> list[dict[str, Any]]:
    one = {"name": "fetch", "image": "i:1", "imageID": "", "ready": False, "restartCount": 0}
    return [{**one, "state": state}]


RUNNING = {
    "phase": "Running",
    "podIP": ADDRESS,
    "podIPs": [{"ip": ADDRESS}],
    "containerStatuses": container({"running": {"startedAt": None}}),
}


def test_the_status_tells_how_far_a_real_download_is(
    a100: World, operator: OperatorProcess, tiny: Repository, server: HubServer, tmp_path: Path
) -> None:
    go_on = threading.Event()
    server.plays[STORED] = halts_at(MIB, go_on)
    words = (f"--progress-address={ADDRESS}", f"--progress-port={PORT}")
    position = a100.plane.audit_position()
    a100.apply("small", CACHED)
    a100.wait("its download is begun", lambda: pending(a100, "small"))
    [pod] = pending(a100, "small")
    [fetch] = pod["spec"]["containers"]
    assert fetch["ports"] == [{"name": "progress", "containerPort": PORT, "protocol": "TCP"}]
    name = pod["metadata"]["name"]
    with command(server, tmp_path, words) as process:
        patch_status(a100, name, RUNNING)
        a100.wait(
            "the status tells how far it is",
            lambda: "(33 %)" in a100.conditions("small")["Reconciling"][2],
        )
        ready, going_on = (a100.conditions("small")[kind] for kind in ("Ready", "Reconciling"))
        # 2 of 6 MiB.
        assert ready[:2] == ("False", "Downloading")
        assert "downloaded to claim small-models: 0.00 of 0.01 GiB (33 %)" in ready[2]
        assert ready[2] == going_on[2]
        go_on.set()
        process.communicate(timeout=60)
        assert process.returncode == 0
    ended = container({"terminated": {"exitCode": 0, "reason": "Completed", "message": "{}"}})
    patch_status(a100, name, {"phase": "Succeeded", "containerStatuses": ended})
    a100.add_volumes()
    a100.wait_ready("small")
    # Downloading, how far, maybe all of it, Starting, Serving; nothing else was asked for.
    assert told(operator_writes(a100, position))["patch llamadeployments/status"] in range(3, 8)


def test_a_pod_that_answers_nonsense_changes_nothing(
    a100: World, operator: OperatorProcess
) -> None:
    a100.apply("small", CACHED)
    a100.wait("its download is begun", lambda: pending(a100, "small"))
    before = a100.wait_condition("small", "Reconciling", "True", "Downloading")
    [pod] = pending(a100, "small")
    with socket.create_server((ADDRESS, PORT)) as listening:
        listening.settimeout(60)
        patch_status(a100, pod["metadata"]["name"], RUNNING)
        client, _ = listening.accept()
        with client:
            assert client.recv(4096).startswith(b"GET /progress HTTP/1.1\r\n")
            client.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"done_bytes": 1e99, "total_bytes": "all"}')
    a100.apply("small", {**CACHED, "replicas": 2})
    after = a100.wait_condition("small", "Reconciling", "True", "Downloading")
    assert after.partition(";")[0] == before.partition(";")[0]


def test_a_download_that_failed_at_last_is_tried_again_by_itself(
    a100: World, shared_operator: list[OperatorProcess]
) -> None:
    a100.apply("small", CACHED)
    a100.wait("its download is begun", lambda: jobs(a100))
    [name] = jobs(a100)

    def fail_at_last() -> tuple[str, datetime]:
        """The Job's uid, and when it failed."""
        a100.kubectl("patch", "job", name, "--type=merge", "-p", '{"spec":{"backoffLimit":0}}')
        end_download(a100, "small", 1, '{"reason": "HubUnreachable", "message": "no answer"}')
        a100.wait_condition("small", "Reconciling", "True", "HubUnreachable")
        a100.wait(
            "it is told when it is tried again",
            lambda: "is made anew at" in a100.conditions("small")["Reconciling"][2],
        )
        job = jobs(a100)[name]
        [end] = [one for one in job["status"]["conditions"] if one["type"] == "Failed"]
        return job["metadata"]["uid"], datetime.fromisoformat(end["lastTransitionTime"])

    def due(ended: datetime, minutes: int) -> str:
        return f"is made anew at {ended + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"

    uid, ended = fail_at_last()
    assert due(ended, 5) in a100.conditions("small")["Ready"][2]
    directory = shared_operator[0].log.parent
    assert shared_operator[0].stop() == 0
    try:
        # A clock by which the five minutes are over some seconds after the start.
        arguments = ("--clock-offset=285",)
        shared_operator[0] = OperatorProcess(a100.plane, directory, arguments=arguments)
        shared_operator[0].wait_ready()
        a100.wait(
            "it is tried again",
            lambda: name in jobs(a100) and jobs(a100)[name]["metadata"]["uid"] != uid,
        )
        annotations = jobs(a100)[name]["metadata"]["annotations"]
        assert annotations["llama-operator.io/attempt"] == "2"
        a100.wait_condition("small", "Reconciling", "True", "Downloading")
        _, ended = fail_at_last()
        assert due(ended, 10) in a100.conditions("small")["Ready"][2]
        assert shared_operator[0].stop() == 0
    finally:
        shared_operator[0] = OperatorProcess(a100.plane, directory)
        shared_operator[0].wait_ready()
    a100.kubectl("delete", "job", name)
    a100.wait("it is tried again", lambda: pending(a100, "small"))
    a100.add_volumes()
    a100.wait_ready("small")
    [job] = jobs(a100).values()
    assert "llama-operator.io/attempt" not in job["metadata"]["annotations"]
