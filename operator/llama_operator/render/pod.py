"""The pod template of a plan: what a revision records and what decides whether pods restart."""

from collections.abc import Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import LABEL_COMPONENT, WORKER, child_labels
from llama_operator.api.plan import GpuChoice, NodeSelector, Plan
from llama_operator.engines.engine import Scratch
from llama_operator.engines.places import at_place
from llama_operator.engines.registry import engine
from llama_operator.render.cache import DOWNLOADER_IMAGE, cache_volume, host_fetch
from llama_operator.render.checks import Manifest
from llama_operator.render.quantities import canonical_bytes, canonical_cpu
from llama_operator.render.renderer import fill_template
from llama_operator.render.values import NodeTerm, PodTemplateValues, Resources, Volume

_NVIDIA_DOMAIN: Final = "nvidia.com/"
_NVIDIA_TAINT: Final = "nvidia.com/gpu"


def pod_template(
    plan: Plan,
    deployment: LlamaDeployment,
    *,
    downloader_image: str = DOWNLOADER_IMAGE,
    component: str = "",
) -> Manifest:
    """The pod template that serves the plan, as `{metadata, spec}`.

    It depends on the plan, on the deployment's name and on what the spec hands to the engine; not
    on replicas, color, UID or generation, so that none of these restarts a pod. `downloader_image`
    fills folders of nodes. `component` is `leader` or `worker` for pods of a replica on several
    nodes, of which the leader alone answers.

    Raises:
        SpecError: the plan names an engine that is not known.
        RenderError: the template makes no object; whether its fields are right is checked with
            the StatefulSet that holds it.
    """
    container = engine(plan.engine).container(plan, deployment)
    labels = child_labels(deployment.metadata.name)
    if component:
        container = at_place(container, plan, component)
        labels = {**labels, LABEL_COMPONENT: component}
    added = deployment.spec.template
    values = PodTemplateValues(
        labels={**added.metadata.labels, **labels},
        annotations=added.metadata.annotations,
        added=added.spec,
        gpu_nodes=gpu_nodes(plan.gpu),
        preferred_nodes=preferred_nodes(plan.gpu),
        tolerations=(taint_key(plan.gpu.resource),),
        container=container,
        resources=Resources(
            cpu=canonical_cpu(plan.host.cpu_millicores),
            memory=canonical_bytes(plan.host.memory_bytes),
            ephemeral_storage=canonical_bytes(plan.host.disk_bytes),
            gpu_resource=plan.gpu.resource,
            gpus=str(plan.gpu.count),
        ),
        volumes=_volumes(container.scratch),
        cache=cache_volume(plan, deployment),
        fetch=host_fetch(plan, deployment, downloader_image),
        answers=component != WORKER,
    )
    return fill_template("pod-template.yaml.j2", values)


def gpu_nodes(gpu: GpuChoice) -> tuple[NodeTerm, ...]:
    """Nodes on which pods may run: those with products on which the plan fits."""
    if gpu.node_selectors:
        return tuple(map(_term, gpu.node_selectors))
    return (_has(gpu.label, *sorted({*gpu.accepted_products, gpu.product})),)


def preferred_nodes(gpu: GpuChoice) -> tuple[NodeTerm, ...]:
    """Nodes that have the chosen product."""
    if gpu.node_selectors:
        return tuple(_term(one) for one in gpu.node_selectors if one.product == gpu.product)
    return (_has(gpu.label, gpu.product),)


def _term(selector: NodeSelector) -> NodeTerm:
    has = [one for label in selector.labels for one in _has(label.label, label.value)]
    absent = [{"key": label, "operator": "DoesNotExist"} for label in selector.absent_labels]
    return (*has, *absent)


def _has(label: str, *values: str) -> NodeTerm:
    return ({"key": label, "operator": "In", "values": list(values)},)


def taint_key(resource: str) -> str:
    """Key of the taint that keeps other pods off nodes with this resource.

    Clouds and device plugins taint by the resource's name; MIG resources such as
    `nvidia.com/mig-1g.10gb` are behind the taint of the whole card.
    """
    return _NVIDIA_TAINT if resource.startswith(_NVIDIA_DOMAIN) else resource


def _volumes(scratch: Sequence[Scratch]) -> tuple[Volume, ...]:
    return tuple(
        Volume(
            name=folder.name,
            path=folder.path,
            medium=folder.medium,
            size_limit=canonical_bytes(folder.size_limit_bytes),
        )
        for folder in scratch
    )
