"""Planning: from spec, catalog and inventory to a plan or a refusal. Pure."""

from llama_operator.api.plan import Plan
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import SpecError
from llama_operator.planning.alternatives import Ground, alternatives
from llama_operator.planning.choices import Choice, choices, lacks_token, token_required
from llama_operator.planning.compose import compose, waiting_message
from llama_operator.planning.decide import Fit, Misfit, decide, spread_fit
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.refuse import (
    refuse_cluster,
    refuse_hardware,
    refuse_misfit,
    refuse_nodes,
    refuse_spec,
    refuse_spread,
)
from llama_operator.planning.survey import Survey, survey


def plan(
    spec: LlamaDeploymentSpec,
    catalog: Catalog,
    inventory: Inventory,
    *,
    current: Plan | None = None,
    image_registry: str = "",
) -> Outcome:
    """Plan one replica of what the spec asks for, or say why this cluster cannot hold it.

    Same input, same output; the order of nodes does not matter. `inventory.held` must leave out
    the pods of this deployment, whose GPUs it may use again.

    Args:
        spec: what to serve.
        catalog: models, GPUs, schemes and engine versions.
        inventory: GPU nodes, and the GPUs that are taken.
        current: the plan that runs; its placement is the first candidate of an edit.
        image_registry: replaces the host of engine images but for spec.engine.image; empty for
            none.

    Returns:
        A plan, free now or waiting; or a refusal with one reason and what would fit instead.
    """
    surveyed = survey(inventory, catalog)
    return plan_on(spec, catalog, surveyed, current=current, image_registry=image_registry)


def plan_on(
    spec: LlamaDeploymentSpec,
    catalog: Catalog,
    surveyed: Survey,
    *,
    current: Plan | None = None,
    image_registry: str = "",
) -> Outcome:
    """`plan` over an inventory that was surveyed before, for many specs of one cluster."""
    try:
        options = choices(spec, catalog)
        _check_context(spec, options)
    except SpecError as error:
        return _with_alternatives(spec, catalog, surveyed, refuse_spec(error))
    if not surveyed.pools:
        return refuse_cluster(surveyed)
    here = {pool.product for pool in surveyed.pools}
    if spec.hardware and not any(entry.gpu in here for entry in spec.hardware):
        return _with_alternatives(spec, catalog, surveyed, refuse_hardware(spec, surveyed))
    if (lacking := refuse_nodes(spec, surveyed)) is not None:
        return _with_alternatives(spec, catalog, surveyed, lacking)
    outcome = decide(spec, options, surveyed, current)
    if isinstance(outcome, Fit):
        row = outcome.trial.choice.publication
        if lacks_token(spec, row):
            refusal = refuse_spec(token_required(row, catalog))
            return _with_alternatives(spec, catalog, surveyed, refusal)
        found = compose(spec, outcome, image_registry)
        return Planned(found, outcome.fits_now, waiting_message(outcome))
    refusal = refuse_misfit(outcome.trials)
    if not surveyed.leader_worker_set:
        over_nodes = spread_fit(spec, options, surveyed)
        if over_nodes is not None:
            refusal = refuse_spread(refusal, over_nodes.trial)
    return _with_alternatives(spec, catalog, surveyed, refusal, outcome)


def _check_context(spec: LlamaDeploymentSpec, options: tuple[Choice, ...]) -> None:
    asked = spec.context.max_model_len
    longest = options[0].context_length
    if asked is not None and asked > longest:
        raise SpecError(
            "spec.context.maxModelLen",
            f"{asked:,} exceeds the context of {spec.model} {spec.size}; write at most {longest}",
            reason=Reason.CONTEXT_TOO_LONG,
        )


def _with_alternatives(
    spec: LlamaDeploymentSpec,
    catalog: Catalog,
    surveyed: Survey,
    refusal: Refusal,
    misfit: Misfit | None = None,
) -> Refusal:
    return Refusal(
        refusal.reason,
        refusal.message,
        needed_bytes=refusal.needed_bytes,
        available_bytes=refusal.available_bytes,
        alternatives=alternatives(Ground(spec, catalog, surveyed, misfit)),
    )
