"""Every case of the table, on a real API server and read from a file: the same verdict."""

import pytest

from api.case_files import CASES, Case
from api.constraints import generic, with_defaults
from api.server import Server
from llama_operator.api.crd import object_schema
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.errors import SpecError

SPEC = object_schema()["properties"]["spec"]


def ids(case: Case) -> str:
    """A sentence."""
    return case.sentence


@pytest.mark.cluster
@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_api_server(server: Server, case: Case) -> None:
    answer = server.create(case.manifest)
    if case.refused is None:
        assert answer.accepted, answer.message
        assert answer.body["spec"] == with_defaults(SPEC, case.manifest["spec"])
        assert answer.body["status"] == {"observedGeneration": -1}
        return
    assert not answer.accepted
    assert answer.names(case.refused.field, case.refused.message), answer.body


@pytest.mark.parametrize("case", [case for case in CASES if case.read], ids=ids)
def test_reading(case: Case) -> None:
    if case.refused is None:
        LlamaDeployment.parse(case.manifest)
        return
    with pytest.raises(SpecError) as refusal:
        LlamaDeployment.parse(case.manifest)
    field = generic(refusal.value.field)
    expected = generic(case.refused.field)
    assert expected.removesuffix("[]") == field.removesuffix("[]"), str(refusal.value)


@pytest.mark.parametrize("case", [case for case in CASES if not case.read], ids=ids)
def test_what_only_the_api_server_refuses_is_read_without_it(case: Case) -> None:
    LlamaDeployment.parse(case.manifest)


def test_unknown_fields_are_all_that_reading_does_not_refuse() -> None:
    excepted = [case for case in CASES if not case.read]
    assert excepted
    assert all(case.refused and "unknown field" in case.refused.message for case in excepted)
