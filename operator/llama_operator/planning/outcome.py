"""What planning answers: a plan that fits, or a refusal with what would fit instead."""

from dataclasses import dataclass

from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.status import Alternative


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that this cluster can hold.

    `fits_now` is false while the GPUs it needs are busy; `waiting_message` then says which.
    """

    plan: Plan
    fits_now: bool
    waiting_message: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing here can hold it, or the spec asks for something that does not exist.

    `needed_bytes` and `available_bytes` are per GPU on the placement that came nearest; None when
    the reason is not about memory. `alternatives` is at most five, cheapest change first.
    """

    reason: Reason
    message: str
    needed_bytes: int | None = None
    available_bytes: int | None = None
    alternatives: tuple[Alternative, ...] = ()


Outcome = Planned | Refusal
