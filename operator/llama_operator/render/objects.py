"""The children of a LlamaDeployment as checked objects. Same input, same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llama_operator.api import names
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.render.cache import DOWNLOADER_IMAGE, claim, fetch_job
from llama_operator.render.checks import Manifest
from llama_operator.render.leader_worker_set import GroupRestart, leader_worker_set_values
from llama_operator.render.metadata import child_metadata
from llama_operator.render.pod import pod_template
from llama_operator.render.renderer import render_template
from llama_operator.render.values import (
    ControllerRevisionValues,
    PodDisruptionBudgetValues,
    ServiceValues,
    StatefulSetValues,
)

RENDER_VERSION: Final = 1
"""Raised with every change that makes another pod template from the same plan and spec."""

__all__ = ["RENDER_VERSION", "Rendered", "controller_revision", "pod_template", "render"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The children that serve one deployment; no budget for a single replica, which may drain.

    `workload` makes the pods: a StatefulSet, or a LeaderWorkerSet for replicas on several nodes.
    """

    workload: Manifest
    service: Manifest
    headless_service: Manifest
    pod_disruption_budget: Manifest | None
    claim: Manifest | None = None
    fetch_job: Manifest | None = None

    def objects(self) -> tuple[Manifest, ...]:
        """All children, in the order of creation: Services first, so that pods find their names."""
        children = (
            self.service,
            self.headless_service,
            self.claim,
            self.fetch_job,
            self.workload,
            self.pod_disruption_budget,
        )
        return tuple(child for child in children if child is not None)


def render(
    plan: Plan,
    deployment: LlamaDeployment,
    *,
    replicas: int,
    revision: str,
    template: Mapping[str, Any] | None = None,
    worker_template: Mapping[str, Any] | None = None,
    color: str = "a",
    downloader_image: str = DOWNLOADER_IMAGE,
    group_restart: GroupRestart = GroupRestart.AFTER_START,
) -> Rendered:
    """Render the children of a deployment.

    Args:
        plan: what one replica needs and where it runs.
        deployment: whose name, namespace and UID the children carry.
        replicas: replicas to run now.
        revision: name of the ControllerRevision that records plan and pod template.
        template: pod template recorded there, used as it is but for the color; None renders the
            template of today. For a replica on several nodes that of the pod that answers.
        worker_template: that of the other pods of a replica on several nodes.
        color: `a` or `b`, which of the two StatefulSets.
        downloader_image: image that downloads models to volumes.
        group_restart: what happens to all pods of a replica when one of them restarts.

    Raises:
        SpecError: the plan names an engine that is not known.
        RenderError: an object is refused by its API model.
    """
    name = deployment.metadata.name
    selector = names.selector_labels(name)
    answering = names.leader_labels(name) if plan.pods > 1 else selector
    headless = names.headless_service_name(name)
    annotations = {names.ANNOTATION_REVISION: revision}

    def pods(component: str = "") -> Manifest:
        return pod_template(
            plan, deployment, downloader_image=downloader_image, component=component
        )

    if plan.pods > 1:
        workload = render_template(
            "LeaderWorkerSet",
            "leader-worker-set.yaml.j2",
            leader_worker_set_values(
                deployment,
                annotations=annotations,
                replicas=replicas,
                size=plan.pods,
                restart=group_restart,
                leader_template=template or pods(names.LEADER),
                worker_template=worker_template or pods(names.WORKER),
            ),
        )
    else:
        workload = render_template(
            "StatefulSet",
            "statefulset.yaml.j2",
            StatefulSetValues(
                metadata=child_metadata(
                    deployment, names.statefulset_name(name, color), annotations
                ),
                service_name=headless,
                replicas=replicas,
                selector={**selector, names.LABEL_COLOR: color},
                template=_colored(template or pods(), color),
            ),
        )
    return Rendered(
        workload=workload,
        service=render_template(
            "Service",
            "service.yaml.j2",
            ServiceValues(
                metadata=child_metadata(deployment, names.service_name(name)),
                selector=answering,
                port=names.PORT,
                app_protocol="http" if deployment.spec.tls is None else "https",
            ),
        ),
        headless_service=render_template(
            "Service",
            "headless-service.yaml.j2",
            ServiceValues(
                metadata=child_metadata(deployment, headless),
                selector=answering,
                port=names.PORT,
            ),
        ),
        pod_disruption_budget=_pod_disruption_budget(deployment, selector, replicas),
        claim=claim(plan, deployment),
        fetch_job=fetch_job(plan, deployment, downloader_image),
    )


def controller_revision(
    deployment: LlamaDeployment, *, name: str, revision: int, data: Mapping[str, Any]
) -> Manifest:
    """The ControllerRevision that records what runs.

    Args:
        deployment: the owner.
        name: name of the object, from `api.names.revision_name`.
        revision: number that grows with each new record.
        data: what is recorded: inputs' hash, plan, render version and pod template.

    Raises:
        RenderError: the object is refused by its API model.
    """
    return render_template(
        "ControllerRevision",
        "controller-revision.yaml.j2",
        ControllerRevisionValues(
            metadata=child_metadata(deployment, name), revision=revision, data=data
        ),
    )


def _pod_disruption_budget(
    deployment: LlamaDeployment, selector: Mapping[str, str], replicas: int
) -> Manifest | None:
    if replicas <= 1:
        return None
    return render_template(
        "PodDisruptionBudget",
        "pod-disruption-budget.yaml.j2",
        PodDisruptionBudgetValues(
            metadata=child_metadata(deployment, names.base_name(deployment.metadata.name)),
            selector=selector,
        ),
    )


def _colored(template: Mapping[str, Any], color: str) -> dict[str, Any]:
    """The template with the color among its labels, which the StatefulSet's selector asks for."""
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), names.LABEL_COLOR: color}
    return {**template, "metadata": {**metadata, "labels": labels}}
