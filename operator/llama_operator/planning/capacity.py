"""Does a recorded plan find free GPUs now? Asked at every pass while pods are not bound. Pure."""

from llama_operator.api.plan import Plan
from llama_operator.planning.survey import Survey
from llama_operator.planning.wording import counted
from llama_operator.sizing.host import HostNeeds
from llama_operator.units import ceil_div


def waiting_message(plan: Plan, pods: int, surveyed: Survey) -> str:
    """What pods of a recorded plan wait for; empty when all of them would start now.

    The text counts nothing that changes with other people's pods, so that it stays the same while
    the situation does.
    """
    host = HostNeeds(
        cpu_millicores=plan.host.cpu_millicores,
        memory_bytes=plan.host.memory_bytes,
        shm_bytes=plan.host.shm_bytes,
        disk_bytes=plan.host.disk_bytes,
    )
    free = sum(
        pool.free_replicas(plan.gpu.count, host)
        for pool in surveyed.pools
        if pool.resource == plan.gpu.resource and pool.product in plan.gpu.accepted_products
    )
    if free >= pods:
        return ""
    where = "one node" if plan.pods == 1 else f"each of {plan.pods} nodes"
    products = " or ".join(plan.gpu.accepted_products)
    return (
        f"waiting for {counted(plan.gpu.count, 'free GPU')} {products} on {where} "
        f"for each of {counted(ceil_div(pods, plan.pods), 'replica')}; "
        f"the plan fits this cluster, its GPUs are busy"
    )
