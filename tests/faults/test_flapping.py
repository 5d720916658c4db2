"""A spec that is edited fifty times a second: the last edit wins, and few of them are acted on."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.world import GROUP_PATH, World, gpu_node
from cluster.writes import operator_writes
from controlplane import ApiError
from faults.oracle import Oracle
from workstation import OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.fault(34), pytest.mark.soak]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL: dict[str, Any] = {"size": "8b", "format": "awq"}
EDITS_PER_SECOND = 50
CONNECTIONS = 4
EDITS: tuple[dict[str, Any], ...] = (
    {"context": {"maxModelLen": 8192}},
    {"engine": {"extraArgs": ["--seed=1"]}},
    {"replicas": 2},
    {"context": {"maxModelLen": 16384}},
    {"size": "9b"},
    {"suspend": True},
    {"engine": {"extraArgs": ["--seed=2"]}},
    {"size": "8b"},
    {"replicas": 1, "suspend": False},
)
"""A bit of everything: what plans, what renders, what scales, what suspends, what is refused."""
LAST = {**SMALL, "context": {"maxModelLen": 4096}, "engine": {"extraArgs": ["--seed=3"]}}
WRITES_PER_EDIT = 0.25
"""Bound of the operator's writes, events included, for one edit of the storm."""


class Storm:
    """Edits one deployment at a steady pace, on several connections that take turns."""

    def __init__(self, world: World, name: str) -> None:
        self._apis = [world.plane.api_client() for _ in range(CONNECTIONS)]
        self._path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments/{name}"
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(turn,), name=f"storm {turn}", daemon=True)
            for turn in range(CONNECTIONS)
        ]
        self._made = [0] * CONNECTIONS
        self._started = 0.0
        self.seconds = 0.0

    @property
    def edits(self) -> int:
        return sum(self._made)

    def patch(self, spec: dict[str, Any], turn: int = 0) -> None:
        body = {"spec": spec}
        self._apis[turn].request("PATCH", self._path, body, "application/merge-patch+json")
        self._made[turn] += 1

    def close(self) -> None:
        for api in self._apis:
            api.close()

    def _run(self, turn: int) -> None:
        for number in itertools.count(turn, CONNECTIONS):
            due = self._started + number / EDITS_PER_SECOND
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                break
            try:
                self.patch(EDITS[number % len(EDITS)], turn)
            except ApiError as error:
                # The API server gives up a patch after it met other writes five times.
                if error.code != 409:
                    raise

    @contextmanager
    def blowing(self) -> Iterator[None]:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join(30)
            self.seconds = time.monotonic() - self._started
        assert not any(thread.is_alive() for thread in self._threads)


def seconds_to_ready(world: World, name: str) -> float:
    started = time.monotonic()
    world.apply(name, SMALL)
    world.wait_ready(name)
    return time.monotonic() - started


def test_a_storm_of_edits_ends_at_the_last_with_few_writes_and_rollouts(
    world: World, operator: OperatorProcess, oracle: Oracle, soak: bool, record_property: Any
) -> None:
    seconds = 30.0 if soak else 10.0
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(4)))
    world.apply("flapping", {**SMALL, "context": {"maxModelLen": 8192}})
    world.wait_ready("flapping")
    alone = max(seconds_to_ready(world, f"calm-{number}") for number in range(3))
    kept = {f"calm-{number}": world.pod_uids(f"calm-{number}") for number in range(3)}
    position = world.plane.audit_position()
    storm = Storm(world, "flapping")
    meanwhile = []
    with storm.blowing():
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            meanwhile.append(seconds_to_ready(world, f"new-{len(meanwhile)}"))
            time.sleep(max(0.0, min(1.0, deadline - time.monotonic())))
    storm.patch({"replicas": 1, "suspend": False, **LAST})
    storm.close()
    world.wait_ready("flapping")
    oracle.check(operator)

    [pod] = world.pods("flapping")
    arguments = pod["spec"]["containers"][0]["args"]
    assert {"--max-model-len=4096", "--seed=3"} <= set(arguments)
    for name, uids in kept.items():
        assert world.pod_uids(name) == uids
    mine = [event for event in operator_writes(world, position) if "flapping" in event.name]
    pods = [
        event
        for event in world.plane.audit_events(since=position)
        if (event.verb, event.resource, event.namespace) == ("create", "pods", world.namespace)
        and event.name == "flapping-a-0"
    ]
    record_property("figure.storm-edits", storm.edits)
    record_property("figure.storm-edits-per-second", round(storm.edits / storm.seconds, 1))
    record_property("figure.storm-writes", len(mine))
    record_property("figure.storm-rollouts", len(pods))
    record_property("figure.seconds-to-ready-alone", round(alone, 2))
    record_property("figure.seconds-to-ready-in-a-storm", round(max(meanwhile), 2))
    assert storm.edits >= seconds * EDITS_PER_SECOND / 4, "the storm was too weak to tell"
    assert len(mine) <= storm.edits * WRITES_PER_EDIT
    # Five edits at once, then one every three seconds, and the last: each makes one pod, or two
    # when the StatefulSet's controller has not seen the edit yet and makes the old one again.
    assert len(pods) <= 5 + storm.seconds / 3 + 4
    assert max(meanwhile) <= max(3 * alone, 10.0)
