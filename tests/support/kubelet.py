"""The end of a pod as the kubelet brings it about."""

import time
from typing import Final

from llama_operator.engines.engine import Container
from support.engine_process import EngineProcess

SCALE: Final = 6
"""Seconds of a container for one second of a test: 60 s of preStop are 10 s."""


def end_pod(process: EngineProcess, container: Container) -> int:
    """The preStop hook, SIGTERM, and SIGKILL when the grace period is over; returns the status.

    The grace period begins with the hook (Kubernetes, Pod Lifecycle, Termination of Pods).
    """
    time.sleep(container.pre_stop_seconds / SCALE)
    left = container.termination_grace_period_seconds - container.pre_stop_seconds
    return process.stop(timeout=left / SCALE)
