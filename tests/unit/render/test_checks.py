from copy import deepcopy
from typing import Any

import pytest

from golden.cases import CASES
from llama_operator.errors import RenderError
from llama_operator.render.checks import MODELS, check

STATEFULSET = next(case for case in CASES if case.name == "llama-70b-awq").render()["statefulset"]
SERVICE = next(case for case in CASES if case.name == "llama-70b-awq").render()["service"]


def changed(manifest: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    result = deepcopy(manifest)
    *parents, last = path.split(".")
    place: Any = result
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[last] = value
    return result


def test_what_is_rendered_passes() -> None:
    check("StatefulSet", STATEFULSET)
    check("Service", SERVICE)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("spec.replica", 1, "StatefulSet: spec.replica: Extra", id="a misspelt field"),
        pytest.param("spec.replicas", "1", "spec.replicas: .* integer", id="text for an integer"),
        pytest.param("spec.replicas", True, "spec.replicas: .* integer", id="a boolean for one"),
        pytest.param("spec.selector", [], "spec.selector: ", id="a list for an object"),
        pytest.param(
            "spec.template.spec.containers.0.arguments",
            [],
            "spec.template.spec.containers.0.arguments: Extra",
            id="a misspelt field of a container",
        ),
        pytest.param(
            "spec.template.spec.containers.0.args", [1], "args.0: .* string", id="a number in args"
        ),
    ],
)
def test_a_wrong_object_is_refused_by_the_path_of_the_field(
    path: str, value: object, message: str
) -> None:
    with pytest.raises(RenderError, match=message):
        check("StatefulSet", changed(STATEFULSET, path, value))


@pytest.mark.parametrize(
    ("place", "name", "python_name"),
    [
        pytest.param("spec", "podManagementPolicy", "pod_management_policy", id="at the top"),
        pytest.param(
            "spec.template.spec.containers.0",
            "imagePullPolicy",
            "image_pull_policy",
            id="of a container",
        ),
        pytest.param("", "apiVersion", "api_version", id="of the object"),
    ],
)
def test_a_python_name_in_place_of_the_apis_is_refused(
    place: str, name: str, python_name: str
) -> None:
    manifest = deepcopy(STATEFULSET)
    parent: Any = manifest
    for key in filter(None, place.split(".")):
        parent = parent[int(key)] if isinstance(parent, list) else parent[key]
    parent[python_name] = parent.pop(name)

    with pytest.raises(RenderError, match=rf"{name} is no field of the API|{python_name}"):
        check("StatefulSet", manifest)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_an_unknown_field_is_refused_in_every_kind(kind: str) -> None:
    with pytest.raises(RenderError, match=f"{kind}: "):
        check(kind, {"spec": {}, "revision": 1, "unknown": 1})
