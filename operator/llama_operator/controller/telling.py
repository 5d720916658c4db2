"""What is told by Events: new plans and reasons, and what somebody changed and was put right."""

from datetime import datetime
from typing import Final

from llama_operator.api.reasons import Reason
from llama_operator.api.status import ConditionType, LlamaDeploymentStatus
from llama_operator.cluster.client import ApiClient, Json
from llama_operator.cluster.events import emit_event
from llama_operator.reconcile.actions import Failure
from llama_operator.reconcile.contention import Settlement
from llama_operator.reconcile.plan_change import planned_note
from llama_operator.reconcile.revision import Revision

_QUIET: Final = frozenset(
    {Reason.STARTING, Reason.SERVING, Reason.DOWNLOADING, Reason.WAITING_FOR_DELETION}
)
"""Ready reasons whose coming is no event of its own."""


async def tell_reasons(
    client: ApiClient, body: Json, status: LlamaDeploymentStatus, now: datetime
) -> None:
    """An event when the reason for not being ready, or for being stalled, is a new one.

    Args:
        client: an open client.
        body: the deployment with the status it had before.
        status: the new one.
        now: the time of day in UTC.
    """
    before = {
        (entry.get("type"), entry.get("reason"))
        for entry in (body.get("status") or {}).get("conditions") or ()
    }
    shown: set[str] = set()
    for entry in status.conditions:
        if (
            entry.type == ConditionType.RECONCILING
            or entry.reason in _QUIET
            or entry.reason in shown
            or (entry.type, entry.reason) in before
        ):
            continue
        shown.add(entry.reason)
        await emit_event(
            client,
            body,
            now=now,
            warning=entry.reason not in (Reason.SUSPENDED, Reason.SCALED_TO_ZERO),
            reason=entry.reason,
            note=entry.message,
            action="Reconcile",
        )


async def tell_plan(
    client: ApiClient,
    body: Json,
    recorded: Revision | None,
    revision: Revision | None,
    now: datetime,
) -> None:
    """An event when there is a plan where there was none, or another one than before.

    Args:
        client: an open client.
        body: the deployment.
        recorded: the revision before this pass; None without one.
        revision: the one of this pass; None while nothing fits.
        now: the time of day in UTC.
    """
    if revision is None or (recorded is not None and recorded.name == revision.name):
        return
    await emit_event(
        client,
        body,
        now=now,
        warning=False,
        reason="Planned",
        note=planned_note(None if recorded is None else recorded.plan, revision.plan),
        action="Plan",
    )


async def tell_repairs(
    client: ApiClient,
    body: Json,
    settled: Settlement,
    failures: tuple[Failure, ...],
    now: datetime,
) -> None:
    """An event for each child that was put right, and one when that goes on and on."""
    failed = {(failure.action.kind, failure.action.name) for failure in failures}
    for action in settled.repairs:
        if (action.kind, action.name) in failed:
            continue
        who = action.child.last_manager or "somebody"
        await emit_event(
            client,
            body,
            now=now,
            warning=False,
            reason="DriftRepaired",
            note=f"{action.kind} {action.name} was changed by {who} and is as planned again",
            action="Repair",
        )
    for text in settled.begun:
        await emit_event(
            client,
            body,
            now=now,
            warning=True,
            reason=Reason.FIELD_CONFLICT,
            note=text,
            action="Repair",
        )
