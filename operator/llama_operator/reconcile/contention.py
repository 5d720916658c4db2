"""Children that others change: put right at once, and ever more rarely when that goes on. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from llama_operator.reconcile.actions import Action, Apply
from llama_operator.reconcile.decide import REVISION_KIND, Decision
from llama_operator.reconcile.observed import Child

FREE_REPAIRS: Final = 3
"""So often a child is put right at once."""
PAUSE_BASE_SECONDS: Final = 5.0
PAUSE_CAP_SECONDS: Final = 30.0
MANAGERS_LIMIT: Final = 3
CALM_SECONDS: Final = 60.0
"""After so long without a foreign change all is forgotten; longer than any pause."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """What happened to one child lately, by whom. Times are monotonic, in seconds."""

    repairs: int
    repaired: float
    seen: float
    managers: frozenset[str] = frozenset()
    contested: bool = False

    def pause(self) -> float:
        """Seconds from one repair to the next."""
        if self.repairs < FREE_REPAIRS:
            return 0.0
        return min(PAUSE_CAP_SECONDS, PAUSE_BASE_SECONDS * 2.0 ** (self.repairs - FREE_REPAIRS))


@dataclass(frozen=True, slots=True)
class Memory:
    """What a deployment's last passes left: intents that children held, and disputes, by uid."""

    held: Mapping[str, str] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a decision becomes.

    `repairs` are actions that put right what others changed. `contested` tells of children that
    are changed again and again; `begun` those that became so now. `again_seconds`: when to look
    again; None for never.
    """

    decision: Decision
    memory: Memory
    repairs: tuple[Apply, ...] = ()
    contested: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    again_seconds: float | None = None


def settle(
    decision: Decision, children: Iterable[Child], intent: str, memory: Memory, now: float
) -> Settlement:
    """Leave out repairs that come too soon.

    Args:
        decision: what a pass wants to do.
        children: the deployment's own children.
        intent: tells apart what the deployment wants; a child that held it before and does not
            hold it now was changed by somebody else.
        memory: what the last pass left.
        now: monotonic time in seconds.
    """
    mending: dict[str, Apply] = {
        action.child.uid: action
        for action in decision.actions
        if isinstance(action, Apply) and action.kind != REVISION_KIND
    }
    held: dict[str, str] = {}
    disputes: dict[str, Dispute] = {}
    postponed: set[str] = set()
    repairs: list[Apply] = []
    contested: list[str] = []
    begun: list[str] = []
    delays: list[float] = []
    for child in children:
        dispute = memory.disputes.get(child.uid)
        if dispute is not None and now - dispute.seen >= CALM_SECONDS:
            dispute = None
        action = mending.get(child.uid)
        if action is None:
            if not child.deleting:
                held[child.uid] = intent
        elif memory.held.get(child.uid) == intent:
            held[child.uid] = intent
            dispute = replace(dispute or Dispute(0, now, now), seen=now)
            if child.last_manager and len(dispute.managers) < MANAGERS_LIMIT:
                managers = dispute.managers | {child.last_manager}
                dispute = replace(dispute, managers=managers)
            left = dispute.repaired + dispute.pause() - now
            if left > 0:
                postponed.add(child.uid)
                delays.append(left)
                if not dispute.contested:
                    begun.append(_message(child, dispute))
                dispute = replace(dispute, contested=True)
            else:
                dispute = replace(dispute, repairs=dispute.repairs + 1, repaired=now)
                repairs.append(action)
        if dispute is None:
            continue
        disputes[child.uid] = dispute
        if dispute.contested:
            contested.append(_message(child, dispute))
            delays.append(CALM_SECONDS - (now - dispute.seen))
    return Settlement(
        _without(decision, postponed),
        Memory(held, disputes),
        tuple(repairs),
        tuple(sorted(contested)),
        tuple(begun),
        min(delays, default=None),
    )


def _message(child: Child, dispute: Dispute) -> str:
    who = " and ".join(sorted(dispute.managers)) or "somebody"
    return (
        f"{child.kind} {child.name} is changed again and again by {who}; it is put right, ever "
        "more rarely while that goes on"
    )


def _without(decision: Decision, uids: set[str]) -> Decision:
    def stays(action: Action) -> bool:
        return not (isinstance(action, Apply) and action.child.uid in uids)

    stages = (tuple(filter(stays, stage)) for stage in decision.stages)
    return replace(decision, stages=tuple(stage for stage in stages if stage))
