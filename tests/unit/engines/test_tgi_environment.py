"""Variables of TGI are refused as its launcher would refuse them, and so are those it ignores."""

import pytest

from support.captured_parser import capture
from support.tgi_environment import VariableRefused, check

COMMON = {
    "MODEL_ID": "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
    "NUM_SHARD": "4",
    "QUANTIZE": "awq",
    "MAX_INPUT_TOKENS": "4000",
    "MAX_TOTAL_TOKENS": "4096",
    "HOSTNAME": "0.0.0.0",
    "PORT": "8080",
    "HF_TOKEN": "hf_x",
}


@pytest.mark.parametrize(
    ("version", "options"),
    [pytest.param("2.2.0", 49, id="2.2.0"), pytest.param("3.3.7", 54, id="3.3.7")],
)
def test_every_option_but_env_has_a_variable_named_as_it_is(version: str, options: int) -> None:
    found = capture(f"text-generation-launcher-{version}.options.json")["options"]
    assert len(found) == options
    for option in found:
        upper = option["name"].removeprefix("--").upper().replace("-", "_")
        assert option["environment"] == (None if upper == "ENV" else upper)


def test_the_versions_differ_in_these_options() -> None:
    old, new = (
        {
            option["environment"]
            for option in capture(f"text-generation-launcher-{version}.options.json")["options"]
        }
        for version in ("2.2.0", "3.3.7")
    )
    assert old - new == {"DISABLE_USAGE_STATS", "DISABLE_CRASH_REPORTS"}
    assert new - old == {
        "API_KEY",
        "ENABLE_PREFILL_LOGPROBS",
        "GRACEFUL_TERMINATION_TIMEOUT",
        "KV_CACHE_DTYPE",
        "PAYLOAD_LIMIT",
        "PROMETHEUS_PORT",
        "USAGE_STATS",
    }


@pytest.mark.parametrize(
    ("version", "more"),
    [
        pytest.param("2.2.0", {}, id="2.2.0"),
        pytest.param("3.3.7", {}, id="3.3.7"),
        pytest.param("2.2.0", {"DISABLE_USAGE_STATS": "true"}, id="no statistics of 2.2.0"),
        pytest.param("3.3.7", {"USAGE_STATS": "off"}, id="no statistics of 3.3.7"),
        pytest.param("2.2.0", {"MAX_BATCH_PREFILL_TOKENS": "4000"}, id="a prompt in one step"),
        pytest.param("3.3.7", {"MAX_BATCH_PREFILL_TOKENS": "16"}, id="a prompt in many steps"),
        pytest.param("3.3.7", {"QUANTIZE": "compressed-tensors"}, id="a quantization"),
        pytest.param("3.3.7", {"CUDA_GRAPHS": "1,2,4"}, id="a list"),
        pytest.param("3.3.7", {"CUDA_GRAPHS": "0"}, id="no graphs"),
        pytest.param("3.3.7", {"CUDA_MEMORY_FRACTION": "0.9"}, id="a fraction"),
        pytest.param("3.3.7", {"PORT": "65535"}, id="the last port"),
        pytest.param("3.3.7", {"KV_CACHE_DTYPE": "fp8_e5m2"}, id="a cache dtype"),
    ],
)
def test_variables_are_taken(version: str, more: dict[str, str]) -> None:
    check(version, COMMON | more)


@pytest.mark.parametrize(
    ("version", "more"),
    [
        pytest.param("3.3.7", {"MAX_INPUT_TOKEN": "4000"}, id="a misspelt name"),
        pytest.param("3.3.7", {"max_input_tokens": "4000"}, id="a name in small letters"),
        pytest.param("3.3.7", {"MAX_MODEL_LEN": "4096"}, id="a name of another engine"),
        pytest.param("3.3.7", {"MAX_INPUT_LENGTH": "4000"}, id="both names of one setting"),
        pytest.param("3.3.7", {"DISABLE_USAGE_STATS": "true"}, id="an option of 2.2.0"),
        pytest.param("2.2.0", {"USAGE_STATS": "off"}, id="an option of 3.3.7"),
        pytest.param("2.2.0", {"API_KEY": "x"}, id="no key in 2.2.0"),
        pytest.param("2.2.0", {"QUANTIZE": "compressed-tensors"}, id="a quantization of 3.3.7"),
        pytest.param("3.3.7", {"QUANTIZE": "int4"}, id="no quantization"),
        pytest.param("3.3.7", {"DTYPE": "half"}, id="no dtype"),
        pytest.param("3.3.7", {"TRUST_REMOTE_CODE": "1"}, id="1 for a switch"),
        pytest.param("3.3.7", {"JSON_OUTPUT": "True"}, id="a capital in a switch"),
        pytest.param("3.3.7", {"NUM_SHARD": "4.0"}, id="a fraction for an integer"),
        pytest.param("3.3.7", {"NUM_SHARD": "-1"}, id="a negative number"),
        pytest.param("3.3.7", {"PORT": "65536"}, id="beyond the last port"),
        pytest.param("3.3.7", {"MAX_BATCH_TOTAL_TOKENS": "4294967296"}, id="beyond 32 bits"),
        pytest.param("3.3.7", {"CUDA_MEMORY_FRACTION": "90%"}, id="a percentage"),
        pytest.param("3.3.7", {"CUDA_GRAPHS": "1, 2"}, id="a blank in a list"),
        pytest.param("3.3.7", {"CUDA_GRAPHS": ""}, id="an empty list"),
        pytest.param("3.3.7", {"MAX_INPUT_TOKENS": "4096"}, id="no room for an answer"),
        pytest.param("2.2.0", {"MAX_BATCH_PREFILL_TOKENS": "3999"}, id="a prompt in two steps"),
        pytest.param("3.3.7", {"ENV": "true"}, id="the option without a variable"),
    ],
)
def test_variables_are_refused(version: str, more: dict[str, str]) -> None:
    with pytest.raises(VariableRefused):
        check(version, COMMON | more)
