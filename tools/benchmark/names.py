"""Words that results and scenarios share."""

from typing import Final

OPERATED: Final = "operated"
BARE: Final = "bare"
"""The two sides, and their namespaces."""
CONTROLLERS: Final = "controllers"
QUIET: Final = "quiet"
"""Whether Kubernetes makes pods of the children, or its controllers are stopped."""
WORKERS: Final = 8
"""Deployments that either side works on at the same time; the operator's default."""
SCENARIOS: Final = (
    "single",
    "burst",
    "cost",
    "memory",
    "restart",
    "drift",
    "takeover",
    "sizing",
)
