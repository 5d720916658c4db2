"""Planning: from spec, catalog and inventory to a plan or a refusal. Pure."""

from dataclasses import replace

from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import SpecError
from llama_operator.planning.alternatives import Ground, alternatives
from llama_operator.planning.choices import check_context, choices, lacks_token, token_required
from llama_operator.planning.compose import compose, waiting_message
from llama_operator.planning.decide import Fit, decide, spread_fit
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.ranking import PRICE_TOLERANCE_PERCENT
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
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT,
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
        price_tolerance_percent: how much more GPUs may cost that are free now than cheaper ones
            that are busy.

    Returns:
        A plan, free now or waiting; or a refusal with one reason and what would fit instead.
    """
    surveyed = survey(inventory, catalog)
    return plan_on(
        spec,
        catalog,
        surveyed,
        current=current,
        image_registry=image_registry,
        price_tolerance_percent=price_tolerance_percent,
    )


def plan_on(
    spec: LlamaDeploymentSpec,
    catalog: Catalog,
    surveyed: Survey,
    *,
    current: Plan | None = None,
    image_registry: str = "",
    price_tolerance_percent: int = PRICE_TOLERANCE_PERCENT,
) -> Outcome:
    """`plan` over an inventory that was surveyed before, for many specs of one cluster."""
    ground = Ground(spec, catalog, surveyed, price_tolerance_percent=price_tolerance_percent)
    try:
        options = choices(spec, catalog)
        check_context(spec, options)
    except SpecError as error:
        return _with_alternatives(ground, refuse_spec(error))
    if not surveyed.pools:
        return refuse_cluster(surveyed)
    here = {pool.product for pool in surveyed.pools}
    if spec.hardware and not any(entry.gpu in here for entry in spec.hardware):
        return _with_alternatives(ground, refuse_hardware(spec, surveyed))
    if (lacking := refuse_nodes(spec, surveyed)) is not None:
        return _with_alternatives(ground, lacking)
    outcome = decide(spec, options, surveyed, current, price_tolerance_percent)
    if isinstance(outcome, Fit):
        for row in outcome.trial.choice.publications:
            if lacks_token(spec, row):
                return _with_alternatives(ground, refuse_spec(token_required(row, catalog)))
        found = compose(spec, outcome, image_registry)
        return Planned(found, outcome.fits_now, waiting_message(outcome))
    refusal = refuse_misfit(outcome.trials)
    if not surveyed.leader_worker_set:
        over_nodes = spread_fit(spec, options, surveyed, price_tolerance_percent)
        if over_nodes is not None:
            refusal = refuse_spread(refusal, over_nodes.trial)
    return _with_alternatives(replace(ground, misfit=outcome), refusal)


def _with_alternatives(ground: Ground, refusal: Refusal) -> Refusal:
    return replace(refusal, alternatives=alternatives(ground))
