"""What the watch shows becomes a pass or not, and what happens during a pass is not lost."""

from typing import Any

import pytest

from llama_operator.cluster.client import ApiClient
from llama_operator.cluster.cluster import Cluster
from llama_operator.cluster.connection import Connection
from llama_operator.cluster.user_catalog import UserCatalog
from llama_operator.controller.metrics import Metrics
from llama_operator.controller.reconciler import Reconciler

KEY = ("ml", "llama")
NOWHERE = Connection(
    server="http://127.0.0.1:1",
    ca_file=None,
    certificate_file=None,
    key_file=None,
    verify=False,
    namespace="ml",
    authorization=lambda: "",
)


@pytest.fixture
def reconciler() -> Reconciler:
    """One that has seen nothing; its client is never opened."""
    client = ApiClient(NOWHERE)
    cluster = Cluster(client, on_deployment=lambda *_: None, on_inventory=lambda: None)
    catalog = UserCatalog(client, "ml", lambda: None, lambda *_: None)
    return Reconciler(cluster, catalog, Metrics())


def body(version: int, generation: int = 1, uid: str = "u1", **parts: Any) -> dict[str, Any]:
    """The object as the API server shows it; `parts` go to metadata but for spec and status."""
    spec, status = parts.pop("spec", {"size": "8b"}), parts.pop("status", None)
    made: dict[str, Any] = {
        "metadata": {
            "namespace": KEY[0],
            "name": KEY[1],
            "uid": uid,
            "generation": generation,
            "resourceVersion": str(version),
            **parts,
        },
        "spec": spec,
    }
    if status is not None:
        made["status"] = status
    return made


OBSERVED = {"observedGeneration": 1}


def test_an_object_that_is_new_is_worked_on(reconciler: Reconciler) -> None:
    assert reconciler.take(KEY, body(5))
    assert reconciler.deployments() == (KEY,)


@pytest.mark.parametrize(
    ("shown", "due"),
    [
        pytest.param(body(5), False, id="the same again, as a relist shows it"),
        pytest.param(body(6), False, id="a newer version without a difference"),
        pytest.param(body(6, labels={"team": "ml"}), False, id="labels of the user"),
        pytest.param(body(6, managedFields=[{"manager": "kubectl"}]), False, id="managed fields"),
        pytest.param(body(6, finalizers=["a/b"]), False, id="finalizers of others"),
        pytest.param(body(6, generation=2), True, id="an edit of the spec"),
        pytest.param(body(6, annotations={"look": "again"}), True, id="an annotation"),
        pytest.param(body(6, deletionTimestamp="2026-01-02T03:04:05Z"), True, id="its deletion"),
        pytest.param(body(6, status={"observedGeneration": 7}), True, id="a garbled status"),
        pytest.param(body(6, uid="u2"), True, id="another object of the name"),
        pytest.param(body(4, generation=2), False, id="an older version, however different"),
        pytest.param(body(4, uid="u2"), False, id="an object that had the name before"),
    ],
)
def test_what_the_watch_shows_next(
    reconciler: Reconciler, shown: dict[str, Any], due: bool
) -> None:
    reconciler.take(KEY, body(5))
    assert reconciler.take(KEY, shown) is due


def test_an_older_version_does_not_replace_a_newer_one(reconciler: Reconciler) -> None:
    reconciler.take(KEY, body(9, generation=2))
    assert not reconciler.take(KEY, body(8, generation=1))
    assert not reconciler.take(KEY, body(9, generation=2))
    assert reconciler.take(KEY, body(10, generation=3))


def test_an_object_that_is_gone_is_forgotten_once(reconciler: Reconciler) -> None:
    reconciler.take(KEY, body(5))
    assert reconciler.take(KEY, None)
    assert not reconciler.take(KEY, None)
    assert reconciler.deployments() == ()
    assert reconciler.take(KEY, body(5)), "it is new again"


def test_the_end_of_the_object_that_had_the_name_before_means_nothing(
    reconciler: Reconciler,
) -> None:
    reconciler.take(KEY, body(9, uid="u2"))
    assert not reconciler.take(KEY, None, "u1")
    assert reconciler.deployments() == (KEY,)
    assert reconciler.take(KEY, None, "u2")
    assert reconciler.deployments() == ()


def test_the_echo_of_our_own_status_needs_no_pass(reconciler: Reconciler) -> None:
    reconciler.take(KEY, body(5))
    written = body(6, status=OBSERVED)
    reconciler._take_status(KEY, written)
    assert not reconciler.take(KEY, written)


def test_a_status_that_somebody_else_wrote_after_ours_needs_a_pass(reconciler: Reconciler) -> None:
    reconciler.take(KEY, body(5))
    reconciler._take_status(KEY, body(6, status=OBSERVED))
    assert reconciler.take(KEY, body(7, status={"observedGeneration": 7}))


def test_an_edit_that_comes_before_the_answer_to_our_status_write_is_not_lost(
    reconciler: Reconciler,
) -> None:
    reconciler.take(KEY, body(5))
    assert reconciler.take(KEY, body(6, generation=2)), "the edit asks for a pass"
    reconciler._take_status(KEY, body(7, generation=2, status=OBSERVED))
    assert not reconciler.take(KEY, body(7, generation=2, status=OBSERVED))


def test_an_edit_that_comes_after_the_answer_to_our_status_write_is_not_lost(
    reconciler: Reconciler,
) -> None:
    """The answer shows the edit already, but no pass has seen it: its event must ask for one."""
    reconciler.take(KEY, body(5))
    reconciler._take_status(KEY, body(7, generation=2, status=OBSERVED))
    assert reconciler.take(KEY, body(6, generation=2))
    assert not reconciler.take(KEY, body(5)), "older than what is known"


def test_the_answer_to_a_status_write_does_not_bring_back_what_is_gone(
    reconciler: Reconciler,
) -> None:
    reconciler.take(KEY, body(5))
    reconciler.take(KEY, None)
    reconciler._take_status(KEY, body(6, status=OBSERVED))
    assert reconciler.deployments() == ()
    reconciler.take(KEY, body(9, uid="u2"))
    reconciler._take_status(KEY, body(6, status=OBSERVED))
    assert reconciler.take(KEY, body(9, uid="u2")) is False
