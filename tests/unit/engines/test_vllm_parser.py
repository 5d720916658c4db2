"""The parser that checks our arguments refuses what vLLM refuses; else it would prove nothing."""

import pytest

from support.captured_parser import ArgumentRefused, capture
from unit.engines.vllm_parser import CAPTURE, VllmParser, vllm_parser


@pytest.fixture(scope="module")
def parser() -> VllmParser:
    return vllm_parser()


def test_every_captured_argument_is_known_by_each_of_its_names(parser: VllmParser) -> None:
    flags = capture(CAPTURE)["flags"]
    captured = {name for flag in flags for name in flag["flags"] if name.startswith("-")}
    assert len(flags) == 322
    assert captured == set(parser._option_string_actions)


@pytest.mark.parametrize(
    ("args", "destination", "value"),
    [
        pytest.param(["repo"], "model_tag", "repo", id="the model is the positional argument"),
        pytest.param(["repo", "--port=8000"], "port", 8000, id="an integer with an equals sign"),
        pytest.param(["repo", "--port", "8000"], "port", 8000, id="an integer as the next word"),
        pytest.param(["repo", "--max_num_seqs=4"], "max_num_seqs", 4, id="underscores in a name"),
        pytest.param(["repo", "--max-model-len=8k"], "max_model_len", 8000, id="a decimal suffix"),
        pytest.param(["repo", "--max-model-len=8K"], "max_model_len", 8192, id="a binary suffix"),
        pytest.param(["repo", "--max-model-len=auto"], "max_model_len", -1, id="auto"),
        pytest.param(["repo", "--enforce-eager"], "enforce_eager", True, id="a switch turned on"),
        pytest.param(
            ["repo", "--no-enforce-eager"], "enforce_eager", False, id="its opposite turns off"
        ),
        pytest.param(
            ["repo", "--disable-prefix-caching"],
            "enable_prefix_caching",
            False,
            id="disable is the opposite of enable",
        ),
        pytest.param(
            ["repo", "--disable-custom-all-reduce"],
            "disable_custom_all_reduce",
            True,
            id="a switch whose first name begins with disable",
        ),
        pytest.param(
            ["repo", "--served-model-name", "a", "b", "--port=1"],
            "served_model_name",
            ["a", "b"],
            id="a list ends at the next argument",
        ),
        pytest.param(
            ["repo", "--compilation-config={}"], "compilation_config", {}, id="a JSON object"
        ),
    ],
)
def test_arguments_are_taken(
    parser: VllmParser, args: list[str], destination: str, value: object
) -> None:
    assert getattr(parser.parse(args), destination) == value


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["repo", "--swap-space=4"], id="an argument that older versions had"),
        pytest.param(["repo", "--max-model-length=8192"], id="a misspelt name"),
        pytest.param(["repo", "--max-model-le=8192"], id="a name cut short"),
        pytest.param(["repo", "--port=http"], id="text for an integer"),
        pytest.param(["repo", "--tensor-parallel-size=1.0"], id="a fraction for an integer"),
        pytest.param(["repo", "--gpu-memory-utilization=92%"], id="a percentage for a fraction"),
        pytest.param(["repo", "--max-model-len=8192Mi"], id="a quantity for an integer"),
        pytest.param(["repo", "--dtype=bf16"], id="a dtype that is no choice"),
        pytest.param(["repo", "--max-lora-rank=17"], id="an integer that is no choice"),
        pytest.param(["repo", "--enforce-eager=true"], id="a value for a switch"),
        pytest.param(["repo", "--max-num-seqs"], id="no value where one is needed"),
        pytest.param(["repo", "--served-model-name", "--port=1"], id="an empty list"),
        pytest.param(["repo", "--served-model-name=a", "b"], id="a second word after an equals"),
        pytest.param(["repo", "--compilation-config=[]"], id="a JSON list for an object"),
        pytest.param(["repo", "other"], id="two models"),
    ],
)
def test_arguments_are_refused(parser: VllmParser, args: list[str]) -> None:
    with pytest.raises(ArgumentRefused):
        parser.parse(args)
