"""Settings of the operator process, from flags and environment, and those of kopf."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import kopf

LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs.

    `namespace` is where the Lease lives; None takes the connection's own. `workers`: deployments
    reconciled at the same time. `health_port` and `metrics_port` 0 mean any free port, which the
    log then names. `leader_election` off is for one process on a workstation only.
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
    grace_seconds: float = 20.0


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """What kopf must do otherwise than by default, each for a reason.

    The time-outs replace ones without a bound; scanning is off since the chart grants no right to
    list CRDs and namespaces; kopf writes no events, patches nothing and elects nobody.
    """
    result = kopf.OperatorSettings()
    result.watching.chunk_size = 500
    result.watching.server_timeout = 300
    result.watching.client_timeout = 330
    result.watching.connect_timeout = 10
    result.watching.inactivity_timeout = 70
    result.networking.connect_timeout = 10
    result.networking.request_timeout = 30
    result.networking.enforce_retry_after = True
    result.posting.enabled = False
    result.posting.loggers = False
    result.peering.standalone = True
    result.scanning.disabled = True
    result.process.ultimate_exiting_timeout = settings.grace_seconds
    return result
