import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llama_operator.api import names
from llama_operator.api.pod_template import RESERVED_DOMAIN, RESERVED_LABELS
from llama_operator.api.v1alpha1 import GROUP

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS-1035 label: what Services demand, and StatefulSets' pods as host names."""
REVISION_HASH = "-" + "a" * 10
"""What the StatefulSet controller puts behind the name in the label controller-revision-hash."""
LABEL_VALUE_LIMIT = 63

deployment_names = st.from_regex(LABEL, fullmatch=True)
long_names = st.from_regex(r"[a-z][-a-z0-9]{40,61}[a-z0-9]", fullmatch=True)


def children(name: str) -> dict[str, str]:
    """Names of all children of a deployment; a ControllerRevision is one of many."""
    return {
        "StatefulSet a": names.statefulset_name(name, "a"),
        "StatefulSet b": names.statefulset_name(name, "b"),
        "Service": names.service_name(name),
        "headless Service": names.headless_service_name(name),
        "PodDisruptionBudget": names.base_name(name),
        "ControllerRevision": names.revision_name(name, "0123456789abcdef"),
    }


@given(deployment_names)
def test_every_childs_name_is_a_dns_label(name: str) -> None:
    for kind, child in children(name).items():
        assert LABEL.fullmatch(child), f"{kind} {child}"


@given(deployment_names)
def test_a_stateful_sets_name_leaves_room_for_its_revision_hash_and_ordinals(name: str) -> None:
    for color in names.COLORS:
        stateful_set = names.statefulset_name(name, color)
        assert len(stateful_set + REVISION_HASH) <= LABEL_VALUE_LIMIT
        assert LABEL.fullmatch(f"{stateful_set}-999")  # replicas are at most 1,000


@given(deployment_names)
def test_the_same_deployment_always_gets_the_same_names(name: str) -> None:
    assert children(name) == children(name)


@given(deployment_names, deployment_names)
def test_two_deployments_share_no_name_of_a_kind(one: str, other: str) -> None:
    assume(one != other)
    for kind, child in children(one).items():
        assert child != children(other)[kind]


@given(long_names, st.sampled_from("abc"), st.sampled_from("xyz"))
def test_long_names_that_differ_only_at_the_end_give_different_children(
    name: str, one: str, other: str
) -> None:
    first, second = children(name[:-1] + one), children(name[:-1] + other)
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize(
    ("name", "base"),
    [
        pytest.param("llama", "llama", id="a short name stays"),
        pytest.param("a" * 40, "a" * 40, id="40 characters stay"),
        # sha256("a" * 41) begins with c0f8bd4d
        pytest.param("a" * 41, "a" * 31 + "-" + "c0f8bd4d", id="41 are cut to 31 and a hash"),
        # sha256("a" * 30 + "-" * 10 + "b") begins with 8afcbd95
        pytest.param(
            "a" * 30 + "-" * 10 + "b",
            "a" * 30 + "-" + "8afcbd95",
            id="no dashes stand before the hash's own",
        ),
    ],
)
def test_base_names(name: str, base: str) -> None:
    assert names.base_name(name) == base


def test_the_selector_is_what_scale_prints() -> None:
    assert names.selector_text("llama") == (
        "app.kubernetes.io/instance=llama,app.kubernetes.io/managed-by=llama-operator,"
        "app.kubernetes.io/name=llama"
    )


def test_the_url_names_service_and_namespace() -> None:
    assert names.service_url("llama", "ml") == "http://llama.ml.svc:8000/v1"


def test_labels_of_the_operator_are_those_that_users_may_not_set() -> None:
    own = {*names.child_labels("llama"), names.LABEL_COMPONENT}
    assert own == set(RESERVED_LABELS)
    assert f"{GROUP}/" == RESERVED_DOMAIN
    assert names.LABEL_COLOR.startswith(RESERVED_DOMAIN)
