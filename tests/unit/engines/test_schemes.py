import pytest

from llama_operator.engines.schemes import load_schemes, read_schemes
from llama_operator.errors import CatalogError

HEADER = "scheme,min_compute_capability,arguments,not_loaded,source\n"


def test_a_row_is_read() -> None:
    schemes = read_schemes("t.csv", HEADER + "fp8-online,8.9,--quantization=fp8 --a,,a page\n")

    row = schemes["fp8-online"]
    assert row.min_compute_capability == (8, 9)
    assert row.arguments == ("--quantization=fp8", "--a")
    assert row.not_loaded == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("scheme,source\n", "t.csv: the columns must be", id="columns are missing"),
        pytest.param(HEADER + "awq,7.5\n", "t.csv, line 2: every line", id="a short line"),
        pytest.param(HEADER + "awq,7.5,,,a,b\n", "t.csv, line 2: every line", id="a long line"),
        pytest.param(HEADER + ",7.5,,,a\n", "line 2, scheme: must not be empty", id="no name"),
        pytest.param(HEADER + "awq,7.5,,,\n", "line 2, source: must not be", id="no source"),
        pytest.param(
            HEADER + "awq,80,,,a\n",
            "line 2, min_compute_capability: '80' must be major.minor",
            id="a capability without a dot",
        ),
        pytest.param(HEADER + "awq,,,,a\n", "either min_compute_capability or", id="neither"),
        pytest.param(HEADER + "awq,7.5,,no,a\n", "either min_compute_capability or", id="both"),
        pytest.param(
            HEADER + "awq,7.5,quantization=awq,,a\n", "line 2, arguments:", id="no argument"
        ),
        pytest.param(
            HEADER + "awq,7.5,,,a\nawq,8.0,,,b\n",
            "line 3, scheme: awq stands there twice",
            id="a name twice",
        ),
    ],
)
def test_a_wrong_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        read_schemes("t.csv", text)


def test_the_table_of_vllm_has_every_scheme_of_the_memory_model_but_gguf() -> None:
    schemes = load_schemes("vllm-schemes.csv")

    assert sorted(schemes) == [
        "awq-int4-g128",
        "bnb-int8",
        "bnb-nf4",
        "bnb-nf4-dq",
        "fbgemm-fp8",
        "fp8",
        "fp8-block",
        "fp8-dynamic",
        "fp8-online",
        "gptq-int4-g128",
        "gptq-w4a16",
        "int8-w8a8",
        "mlx-4bit-g64",
        "mlx-8bit-g64",
        "mxfp4",
        "none",
        "nvfp4",
    ]
