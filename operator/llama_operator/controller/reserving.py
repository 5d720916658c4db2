"""GPUs that the replicas of a deployment take, and what those without any wait for."""

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.cluster.ledger import Key, Ledger, Reservation
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.planning.capacity import waiting_message
from llama_operator.reconcile.decide import effective_replicas
from llama_operator.reconcile.desired import Desired
from llama_operator.reconcile.observed import PodFacts


def reserve(
    ledger: Ledger,
    catalog: UserCatalog,
    key: Key,
    deployment: LlamaDeployment,
    desired: Desired,
    pods: tuple[PodFacts, ...],
) -> str:
    """Reserve what its replicas take; tell what they wait for, empty when nothing."""
    if desired.plan is None:
        ledger.reserve(key, None)
        return ""
    chosen = desired.plan
    wanted = effective_replicas(deployment) * chosen.pods
    ledger.reserve(key, Reservation.of(chosen.gpu, wanted))
    bound = sum(bool(pod.node) and not pod.deleting and not pod.finished for pod in pods)
    unbound = wanted - bound
    if unbound <= 0:
        return ""
    # What its own pods give back goes to those that replace them.
    leaving = tuple(pod for pod in pods if pod.deleting)
    surveyed = ledger.survey(key, catalog.for_namespace(key[0]), leaving)
    message = waiting_message(chosen, unbound, surveyed)
    if message:
        return message
    stuck = sorted(pod.name for pod in pods if pod.unschedulable and not pod.node)
    if stuck:
        return (
            f"the scheduler finds no node for pod {stuck[0]}, though {chosen.gpus} is planned; "
            f"`kubectl describe pod {stuck[0]}` tells why"
        )
    return ""
