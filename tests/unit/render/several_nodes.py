"""Plans of the 405b in 16 bit on two nodes of 8 H100, by each engine that runs on several."""

from collections.abc import Mapping
from typing import Final

from llama_operator.api.plan import Plan
from unit.planning.cluster import H100, node, planned, spec


def two_nodes(engine: str) -> Plan:
    """The plan that the planner makes of it."""
    wanted = spec(size="405b", format="pytorch", engine={"type": engine})
    nodes = (node("a", H100, 8), node("b", H100, 8))
    return planned(wanted, *nodes, leader_worker_set=True).plan


PLANS: Final[Mapping[str, Plan]] = {"SGLang": two_nodes("SGLang"), "vLLM": two_nodes("vLLM")}
