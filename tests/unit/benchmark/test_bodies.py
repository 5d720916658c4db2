"""What the bare client sends is what the operator would, in another group."""

import json

from benchmark.bodies import NAMESPACE, filled, rendered


def test_the_bare_client_sends_the_operators_requests() -> None:
    bodies = rendered()
    sent = [(body.method, filled(body.path, "space", "some", "u-1")) for body in bodies]
    manager = "?fieldManager=bare-client"
    assert sorted(sent[:4]) == [
        ("POST", f"/api/v1/namespaces/space/services{manager}"),
        ("POST", f"/api/v1/namespaces/space/services{manager}"),
        ("POST", f"/apis/apps/v1/namespaces/space/controllerrevisions{manager}"),
        ("POST", f"/apis/apps/v1/namespaces/space/statefulsets{manager}"),
    ]
    status = "/apis/bench-operator.io/v1alpha1/namespaces/space/llamadeployments/some/status"
    assert sent[4:] == [("PATCH", f"{status}{manager}&force=true")]


def test_a_body_is_filled_with_one_objects_name_and_uid() -> None:
    *children, status = (
        json.loads(filled(body.text, "space", "some", "u-1")) for body in rendered()
    )
    for child in children:
        metadata = child["metadata"]
        assert metadata["namespace"] == "space"
        assert metadata["name"].startswith("some")
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "bare--operator"
        [owner] = metadata["ownerReferences"]
        assert (owner["apiVersion"], owner["uid"]) == ("bench-operator.io/v1alpha1", "u-1")
    assert status["metadata"] == {"namespace": "space", "name": "some", "uid": "u-1"}
    assert status["status"]["conditions"][0]["reason"] == "Starting"
    assert NAMESPACE not in json.dumps([*children, status])
