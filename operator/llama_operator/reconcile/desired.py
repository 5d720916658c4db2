"""From spec and facts to the revision that should run, and why."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import ANNOTATION_REVISION, LEADER, WORKER, revision_name
from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.status import Recommendation
from llama_operator.engines.arguments import follows
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.refuse import LACKS_NODES
from llama_operator.reconcile.observed import Json
from llama_operator.reconcile.revision import (
    Objects,
    Revision,
    digest,
    planning_hash,
    template_hash,
)
from llama_operator.render.leader_worker_set import GroupRestart
from llama_operator.render.objects import render
from llama_operator.render.rendering import CURRENT, Rendering

Planner = Callable[[LlamaDeployment, Plan | None], Outcome]
"""Plans a deployment with the catalog and inventory of this pass; the second argument is today's
plan."""

TOLD_OF_A_TIME = ("reasons", "summary", "usdPerHour")
"""Fields of a plan that change nothing of what runs."""
PDB_REPLICAS = 2
"""The budget is rendered as for two replicas and applied only above one."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should run.

    `revision` is None when nothing ever fitted. `refusal` is set when the spec as it is cannot be
    planned; the last good revision then goes on. `recommendation` is what the operator would do
    but does not do unasked.
    """

    revision: Revision | None
    refusal: Refusal | None = None
    recommendation: Recommendation | None = None

    @property
    def plan(self) -> Plan | None:
        """The plan of the revision."""
        return self.revision.plan if self.revision is not None else None


def desire(
    deployment: LlamaDeployment,
    recorded: Revision | None,
    planner: Planner,
    rendering: Rendering = CURRENT,
) -> Desired:
    """The revision that should run for this spec.

    A recorded revision stays as it is while neither the planning inputs nor the inputs of the pod
    template changed: not for another inventory or catalog, nor for a new version of the operator.
    An edit that takes the token from a gated plan is planned anew, and so is one that the engine of
    the plan cannot follow.
    """
    desired = _desire(deployment, recorded, planner, rendering)
    return desired if rendering.group_restart is not None else _without_groups(desired)


def _desire(
    deployment: LlamaDeployment,
    recorded: Revision | None,
    planner: Planner,
    rendering: Rendering,
) -> Desired:
    planning, template = planning_hash(deployment), template_hash(deployment)
    if recorded is not None and recorded.planning_hash == planning:
        if recorded.template_hash == template:
            return Desired(recorded, recommendation=_new_rendering(recorded, rendering))
        has_token = deployment.spec.token_secret_ref is not None or not recorded.plan.gated
        if has_token and follows(recorded.plan, deployment.spec):
            revised = _revise(deployment, recorded, recorded.plan, planning, template, rendering)
            return Desired(revised)
    current = recorded.plan if recorded is not None else deployment.status.plan
    outcome = planner(deployment, current)
    if isinstance(outcome, Planned):
        return Desired(_revise(deployment, recorded, outcome.plan, planning, template, rendering))
    recommendation = None
    if outcome.alternatives:
        recommendation = Recommendation(
            reason=outcome.reason,
            message="Each of these would fit; apply one as a merge patch.",
            alternatives=list(outcome.alternatives),
        )
    return Desired(recorded, outcome, recommendation)


def _without_groups(desired: Desired) -> Desired:
    """The same in a cluster that lost LeaderWorkerSet: what needs it cannot run, and says so."""
    revision = desired.revision
    if desired.refusal is not None or revision is None or revision.plan.pods == 1:
        return desired
    message = f"the plan takes {revision.plan.gpus}; {LACKS_NODES}"
    return replace(desired, refusal=Refusal(Reason.MULTI_NODE_UNAVAILABLE, message))


def _new_rendering(recorded: Revision, rendering: Rendering) -> Recommendation | None:
    if recorded.render_version == rendering.version:
        return None
    return Recommendation(
        reason="NewRendering",
        message="This version of the operator renders the pods differently. Nothing moves until "
        "you edit the spec or set the annotation llama-operator.io/replan to a new value.",
    )


def _revise(
    deployment: LlamaDeployment,
    recorded: Revision | None,
    plan: Plan,
    planning: str,
    template: str,
    rendering: Rendering,
) -> Revision:
    components = (LEADER, WORKER) if plan.pods > 1 else ("",)
    templates = [rendering.pod_template(plan, deployment, component) for component in components]
    rendered = render(
        plan,
        deployment,
        replicas=PDB_REPLICAS,
        revision="",
        template=templates[0],
        worker_template=templates[-1],
        downloader_image=rendering.downloader_image,
        group_restart=rendering.group_restart or GroupRestart.AFTER_START,
    )
    assert rendered.pod_disruption_budget is not None
    objects = Objects(
        workload=rendered.workload,
        service=rendered.service,
        headless_service=rendered.headless_service,
        disruption_budget=rendered.pod_disruption_budget,
        claim=rendered.claim,
        fetch_job=rendered.fetch_job,
    )
    revision = Revision(
        name="",
        number=recorded.number + 1 if recorded is not None else 1,
        planning_hash=planning,
        template_hash=template,
        render_version=rendering.version,
        plan=plan,
        objects=objects,
    )
    name = revision_name(deployment.metadata.name, _digest(revision))
    workload = with_annotation(rendered.workload, ANNOTATION_REVISION, name)
    return replace(revision, name=name, objects=replace(objects, workload=workload))


def _digest(revision: Revision) -> str:
    """Hash of what runs; why it was chosen, and its price, are left out: they tell of the time."""
    data = revision.data()
    data["plan"] = {key: value for key, value in data["plan"].items() if key not in TOLD_OF_A_TIME}
    return digest(data)


def with_annotation(body: Json, key: str, value: str) -> Json:
    """The object with one more annotation."""
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), key: value}
    return {**body, "metadata": {**metadata, "annotations": annotations}}
