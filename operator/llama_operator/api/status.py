"""The status of a LlamaDeployment."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from llama_operator.api.fields import ATOMIC
from llama_operator.api.model import ApiModel
from llama_operator.api.plan import Count, Plan

Generation = Annotated[int, Field(ge=-1, le=2**53 - 1)]


class ConditionType(StrEnum):
    """Types of conditions."""

    READY = "Ready"
    """True: the URL answers. Always present once the operator saw the object."""
    RECONCILING = "Reconciling"
    """True while the operator or the cluster still works on it; absent otherwise."""
    STALLED = "Stalled"
    """True while only an edit, or other hardware, can help; absent otherwise."""
    CATALOG_DEGRADED = "CatalogDegraded"
    """True while a user's catalog row that this model comes from is ignored; absent otherwise."""


class Condition(ApiModel):
    """One condition, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type, e.g. Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Why, in one word, e.g. Serving."
    )
    message: Annotated[str, Field(max_length=4096)] = Field(
        description="Why, in a sentence for people, e.g. 1 of 1 replicas are ready."
    )
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="When the status last changed, e.g. 2026-01-02T03:04:05Z."
    )
    observed_generation: Generation = Field(
        description="Generation of the spec that this condition speaks of, e.g. 3."
    )


class Alternative(ApiModel):
    """Something that would fit instead."""

    summary: Annotated[str, Field(max_length=512)] = Field(
        description="What to change and what it gives, e.g. format awq on 1x A100: 37.16 GiB."
    )
    patch: Annotated[str, Field(max_length=1024)] = Field(
        description='Merge patch to apply, e.g. {"spec":{"format":"awq"}}.'
    )


class Recommendation(ApiModel):
    """What the operator would do but does not do unasked."""

    reason: Annotated[str, Field(max_length=63)] = Field(
        description="Why there is one, e.g. WeightsTooLarge or NewRendering."
    )
    message: Annotated[str, Field(max_length=1024)] = Field(
        description="The recommendation in a sentence, e.g. an edit adopts the new rendering."
    )
    alternatives: list[Alternative] = Field(
        default=[],
        max_length=5,
        description="What would fit instead, cheapest change first, e.g. format awq.",
    )


class LlamaDeploymentStatus(ApiModel):
    """What the operator observed, e.g. url and plan."""

    observed_generation: Generation = Field(
        default=-1, description="Generation of the spec last acted on, e.g. 3; -1 before that."
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Ready, and others only while true, e.g. Reconciling or Stalled.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    plan: Plan | None = Field(
        default=None,
        description="The plan of what runs: GPUs, context and where each byte goes, "
        "e.g. gpus 1x NVIDIA-A100-SXM4-80GB.",
        json_schema_extra=ATOMIC,
    )
    recommendation: Recommendation | None = Field(
        default=None,
        description="What would fit, or what a new version would render, e.g. format awq.",
        json_schema_extra=ATOMIC,
    )
    replicas: Count | None = Field(default=None, description="Pods that exist, e.g. 2.")
    ready_replicas: Count | None = Field(default=None, description="Pods that answer, e.g. 1.")
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="Label selector of the pods, for autoscalers, "
        "e.g. app.kubernetes.io/instance=llama-70b-awq.",
    )
    url: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="OpenAI base URL inside the cluster, e.g. http://llama.ml.svc:8000/v1.",
    )
