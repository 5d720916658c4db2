"""Records of other versions, and records that are used again."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.reconcile.actions import Apply
from llama_operator.reconcile.decide import decide
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.observed import Child, child_of
from llama_operator.reconcile.revision import Revision, latest_record, read_revision
from llama_operator.render.objects import controller_revision
from llama_operator.render.rendering import CURRENT, REHEARSAL, Rendering
from support.deployments import deployment, plan

MARK = {"llama-operator.io/rendering": "Rehearsal"}
PLANNED = Planned(plan(), fits_now=True)


def planned(*_: object) -> Planned:
    return PLANNED


def unexpected(*_: object) -> Planned:
    raise AssertionError("planned although nothing changed")


def first(rendering: Rendering = CURRENT) -> Revision:
    revision = desire(deployment(), None, planned, rendering).revision
    assert revision is not None
    return revision


def record(of: Revision, name: str = "", **fields: Any) -> Child:
    body = controller_revision(
        deployment(), name=name or of.name, revision=of.number, data=of.data()
    )
    metadata = {**body["metadata"], "uid": "c1", "resourceVersion": "1"}
    found = child_of(body["kind"], {**body, "metadata": metadata, **fields})
    assert found is not None
    return found


def pod_annotations(revision: Revision | None) -> dict[str, str]:
    assert revision is not None
    metadata = revision.objects.workload["spec"]["template"]["metadata"]
    return dict(metadata.get("annotations") or {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(CURRENT, REHEARSAL, id="an upgrade"),
        pytest.param(REHEARSAL, CURRENT, id="a downgrade"),
    ],
)
def test_another_rendering_is_advised_and_adopted_only_when_asked(
    old: Rendering, new: Rendering
) -> None:
    recorded = first(old)
    for spec in ({}, {"replicas": 3}, {"suspend": True}):
        kept = desire(deployment(spec), recorded, unexpected, new)
        assert kept.revision == recorded
        assert kept.recommendation is not None
        assert kept.recommendation.reason == "NewRendering"
    replan = deployment(annotations={"llama-operator.io/replan": "1"})
    edit = deployment({"engine": {"extraArgs": ["--seed=7"]}})
    for asked in (replan, edit):
        adopted = desire(asked, recorded, planned, new)
        assert adopted.recommendation is None
        assert adopted.revision is not None
        assert adopted.revision.render_version == new.version
        assert pod_annotations(adopted.revision) == (MARK if new is REHEARSAL else {})
        assert desire(asked, adopted.revision, unexpected, new).recommendation is None


def test_the_rehearsal_differs_in_nothing_but_its_annotation() -> None:
    current, rehearsal = first(CURRENT), first(REHEARSAL)
    assert pod_annotations(current) == {}
    assert pod_annotations(rehearsal) == MARK
    template = copy.deepcopy(rehearsal.objects.workload["spec"]["template"])
    del template["metadata"]["annotations"]
    assert template == current.objects.workload["spec"]["template"]
    assert rehearsal.objects.service == current.objects.service


def test_a_record_with_fields_of_a_later_version_is_read_without_them() -> None:
    revision = first()
    data = revision.data()
    later = {**data, "later": {"field": 1}, "plan": {**data["plan"], "laterField": "x"}}
    assert read_revision(record(revision, data=later)) == revision


def test_the_newest_record_counts_even_if_it_cannot_be_read() -> None:
    readable = record(first())
    later = record(first(), "llama-plan-later", revision=2, data={"form": 2})
    assert latest_record([later, readable], "u1") == later
    assert read_revision(later) is None
    assert latest_record([readable], "u1") == readable
    assert latest_record([later, readable], "u2") is None


def test_a_record_that_is_used_again_keeps_its_words_since_they_cannot_change() -> None:
    old = first()
    child = record(old)
    other_words = replace(
        old, number=3, plan=old.plan.model_copy(update={"summary": "said otherwise today"})
    )
    actions = decide(deployment(), other_words, [child], {}).actions
    [action] = [action for action in actions if isinstance(action, Apply)]
    assert action.body["revision"] == 3
    assert action.body["data"] == child.body["data"]


def test_a_gated_plan_without_its_token_is_planned_anew_and_goes_on() -> None:
    refusal = Refusal(Reason.TOKEN_REQUIRED, "spec.tokenSecretRef: it is gated")
    token = deployment({"tokenSecretRef": {"name": "hf-token"}})
    gated = Planned(plan().model_copy(update={"gated": True}), fits_now=True)
    recorded = desire(token, None, lambda *_: gated).revision
    assert recorded is not None
    taken = desire(deployment(), recorded, lambda *_: refusal)
    assert (taken.revision, taken.refusal) == (recorded, refusal)
    other = deployment({"tokenSecretRef": {"name": "other-token"}})
    assert desire(other, recorded, unexpected).refusal is None


def test_what_runs_without_a_token_goes_on_after_an_upgrade() -> None:
    gated = Planned(plan().model_copy(update={"gated": True}), fits_now=True)
    recorded = desire(deployment(), None, lambda *_: gated).revision
    assert desire(deployment(), recorded, unexpected).revision == recorded


@pytest.mark.parametrize(
    ("engine", "version", "edit"),
    [
        pytest.param("vLLM", "0.33.0", {"engine": {"extraArgs": ["--api-key=a"]}}, id="argument"),
        pytest.param(
            "LlamaCpp", "11434", {"engine": {"extraArgs": ["--ctx-size", "9"]}}, id="two words"
        ),
        pytest.param(
            "TGI", "3.3.7", {"engine": {"env": [{"name": "NUM_SHARD", "value": "2"}]}}, id="env"
        ),
        pytest.param("SGLang", "0.5.23", {"servedModelNames": ["a", "b"]}, id="field"),
    ],
)
def test_an_edit_of_the_template_that_the_engine_cannot_follow_is_planned_and_refused(
    engine: str, version: str, edit: dict[str, Any]
) -> None:
    of_engine = plan().model_copy(update={"engine": engine, "engine_version": version})
    refusal = Refusal(Reason.INVALID_SPEC, "the plan sets it")
    recorded = desire(deployment(), None, lambda *_: Planned(of_engine, fits_now=True)).revision
    assert recorded is not None
    edited = desire(deployment(edit), recorded, lambda *_: refusal)
    assert (edited.revision, edited.refusal) == (recorded, refusal)
