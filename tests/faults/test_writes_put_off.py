"""An API server that asks for patience gets it."""

import time
from collections import defaultdict
from itertools import pairwise

import pytest

from cluster.world import GROUP_PATH, gpu_node
from faultproxy import Answer, Call, Rule
from faults.conftest import Stage

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
RETRY_AFTER_SECONDS = 5


@pytest.mark.fault(8)
def test_retry_after_is_honoured_by_every_request(calm: Stage, soak: bool) -> None:
    """For a while everything but the Lease is answered by 429, after all watches were cut."""
    world, proxy = calm.world, calm.proxy
    world.add_nodes(gpu_node("busy-0", A100, 8))
    world.apply("small", SMALL)
    calm.oracle.check(calm.operator, quiet_seconds=1.0)
    position = proxy.position()
    busy = Answer(429, "TooManyRequests", retry_after_seconds=RETRY_AFTER_SECONDS)
    rule = Rule(busy, besides={"leases"})
    # The pass has begun when its first request is refused, so that it is not only watches.
    proxy.add(rule)
    path = f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments/small"
    body = {"spec": {"servedModelNames": ["edited"], "replicas": 2}}
    world.api.request("PATCH", path, body, "application/merge-patch+json")
    seconds, began = (60.0 if soak else 20.0), time.monotonic()
    world.wait("the edit is refused", lambda: rule.struck)
    proxy.streams(lambda stream: stream.reset())
    while time.monotonic() - began < seconds:
        # Events about the deployment go on, and are no reason to ask sooner.
        world.kubectl(
            "annotate", "pod", "small-a-0", f"example.com/at={time.time()}", "--overwrite"
        )
        time.sleep(0.5)  # the property is about a span of time
    refused = [call for call in proxy.calls(position) if call.code == 429]
    proxy.clear()
    kinds: dict[tuple[str, ...], list[Call]] = defaultdict(list)
    for call in refused:
        kinds[call.verb, call.resource, call.namespace, call.name].append(call)
    assert len([kind for kind in kinds if kind[0] == "watch"]) == 13, sorted(kinds)
    assert len([kind for kind in kinds if kind[0] != "watch"]) >= 1, sorted(kinds)
    for kind, calls in kinds.items():
        pauses = [b.at - a.at for a, b in pairwise(calls)]
        assert all(pause >= RETRY_AFTER_SECONDS - 0.1 for pause in pauses), (kind, pauses)
    calm.oracle.check(calm.operator)
