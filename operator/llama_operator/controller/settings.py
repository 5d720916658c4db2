"""Settings of the operator process, from flags and environment, and those of kopf."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import kopf

from llama_operator.controller.clock import ClockOffset
from llama_operator.planning.ranking import PRICE_TOLERANCE_PERCENT
from llama_operator.render.rendering import CURRENT, Rendering

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
BACKOFF_BASE_SECONDS: Final = 1.0
BACKOFF_CAP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs.

    `namespace` is where the Lease lives; None takes the connection's own. `workers`: deployments
    reconciled at the same time. `health_port` and `metrics_port` 0 mean any free port, which the
    log then names. `leader_election` off is for one process on a workstation only.
    `grace_seconds`: how long passes in work may go on once the process is asked to end; writes
    that are not answered by then are waited for besides, as the fence has it. `image_registry`
    replaces the host of engine images in new plans; empty for none. `price_tolerance_percent`: how
    much more GPUs may cost that are free now than cheaper ones. `rendering` names the image
    that downloads models; another version of it, and `clock_offset`, are for rehearsals.
    `allow_host_path` lets models be kept in folders of nodes.
    """

    kubeconfig: Path | None = None
    namespace: str | None = None
    identity: str = ""
    leader_election: bool = True
    workers: int = 8
    listen_address: str = "0.0.0.0"  # noqa: S104 - a pod's probes come from its node
    health_port: int = 8080
    metrics_port: int = 8081
    log_level: str = "info"
    grace_seconds: float = 5.0
    image_registry: str = ""
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT
    rendering: Rendering = CURRENT
    allow_host_path: bool = False
    clock_offset: ClockOffset = field(default_factory=ClockOffset)


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps no last seen state, and so spares copying each object twice an event.

    kopf needs it for handlers of changes; ours look at events.
    """

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None


class Backoffs:
    """Pauses between the tries of one request of kopf: growing, capped, jittered, without end.

    At the end of a list kopf would give up, and with it the watch of LlamaDeployments.
    """

    def __iter__(self) -> Iterator[float]:
        """Begin anew, as kopf does for each request."""
        for attempt in itertools.count():
            pause = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** min(attempt, 8))
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def kopf_settings() -> kopf.OperatorSettings:
    """What kopf must do otherwise than by default, each for a reason.

    The time-outs replace ones without a bound; scanning is off since the chart grants no right to
    list CRDs and namespaces; kopf writes no events, patches nothing, elects nobody, and does not
    kill the process a while after it was stopped, since it is started again.
    """
    result = kopf.OperatorSettings()
    result.watching.chunk_size = 100
    result.watching.server_timeout = 300
    result.watching.client_timeout = 330
    result.watching.connect_timeout = 10
    result.watching.inactivity_timeout = 70
    result.networking.connect_timeout = 10
    result.networking.request_timeout = 30
    result.networking.error_backoffs = Backoffs()
    result.networking.enforce_retry_after = True
    result.posting.enabled = False
    result.posting.loggers = False
    result.peering.standalone = True
    result.scanning.disabled = True
    result.persistence.diffbase_storage = _NoDiffs()
    result.queueing.idle_timeout = 1.0  # a worker of an object holds what it showed last
    result.process.ultimate_exiting_timeout = None
    return result
