"""The help of llama-server is read whole, and what the program refuses is refused."""

import re
import shlex

import pytest

from support.captured_parser import CAPTURES, ArgumentRefused
from support.llama_server_help import HELP, LlamaServerArguments, llama_server_arguments

COMMON = (
    "-m /models/llama.gguf -a llama --host 0.0.0.0 --port 8080 -ngl all -fit off -c 32768 -np 4"
    " --metrics"
)


@pytest.fixture(scope="module")
def program() -> LlamaServerArguments:
    return llama_server_arguments()


def test_every_line_that_begins_with_a_name_is_an_option(program: LlamaServerArguments) -> None:
    text = (CAPTURES / HELP).read_text(encoding="utf-8")
    assert len(re.findall(r"^-(?!----)", text, re.MULTILINE)) == 255 == len(program.options)
    assert text.count("(env: ") == 148
    assert sum(option.environment is not None for option in program.options) == 148


@pytest.mark.parametrize(
    ("name", "names", "value", "environment"),
    [
        pytest.param("-c", ("-c", "--ctx-size"), "N", "LLAMA_ARG_CTX_SIZE", id="short and long"),
        pytest.param("--port", ("--port",), "PORT", "LLAMA_ARG_PORT", id="long alone"),
        pytest.param(
            "--metrics", ("--metrics",), None, "LLAMA_ARG_ENDPOINT_METRICS", id="without a value"
        ),
        pytest.param(
            "-ngl",
            ("-ngl", "--gpu-layers", "--n-gpu-layers"),
            "N",
            "LLAMA_ARG_N_GPU_LAYERS",
            id="two long names",
        ),
        pytest.param(
            "--kv-unified",
            ("-kvu", "--kv-unified", "-no-kvu", "--no-kv-unified"),
            None,
            "LLAMA_ARG_KV_UNIFIED",
            id="a switch and its opposite; what it does is on the next line",
        ),
        pytest.param(
            "-ot",
            ("-ot", "--override-tensor"),
            "<tensor name pattern>=<buffer type>,...",
            "LLAMA_ARG_OVERRIDE_TENSOR",
            id="a value of several words",
        ),
        pytest.param("--api-key", ("--api-key",), "KEY", "LLAMA_API_KEY", id="another prefix"),
    ],
)
def test_options_are_read(
    program: LlamaServerArguments,
    name: str,
    names: tuple[str, ...],
    value: str | None,
    environment: str,
) -> None:
    [option] = [option for option in program.options if name in option.names]
    assert (option.names, option.value, option.environment) == (names, value, environment)


@pytest.mark.parametrize(
    ("more", "name", "values"),
    [
        pytest.param("", "-m", ["/models/llama.gguf"], id="a file"),
        pytest.param("", "-ngl", ["all"], id="a word for a number"),
        pytest.param("-ngl 33", "-ngl", ["33"], id="the number itself"),
        pytest.param("", "--metrics", [], id="a switch"),
        pytest.param("--ctx_size 4096", "--ctx-size", ["4096"], id="underscores in a long name"),
        pytest.param("-sm layer -ts 1,1", "-ts", ["1,1"], id="a share for each GPU"),
        pytest.param("-ctk q8_0", "-ctk", ["q8_0"], id="one of the allowed values"),
        pytest.param("--temp 0.6", "--temp", ["0.6"], id="a fraction"),
        pytest.param(
            "--api-key --odd", "--api-key", ["--odd"], id="a value that begins with dashes"
        ),
        pytest.param(
            "--control-vector-layer-range 1 8",
            "--control-vector-layer-range",
            ["1", "8"],
            id="two words",
        ),
    ],
)
def test_arguments_are_taken(
    program: LlamaServerArguments, more: str, name: str, values: list[str]
) -> None:
    assert program.parse(shlex.split(f"{COMMON} {more}"))[name] == values


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("--port=8080", id="an equals sign"),
        pytest.param("--ctx-len 8192", id="a misspelt name"),
        pytest.param("--parallell 4", id="a name with a letter too many"),
        pytest.param("--paralle 4", id="a name cut short"),
        pytest.param("-ctx_size 4096", id="one dash"),
        pytest.param("-c 8k", id="a suffix"),
        pytest.param("-c 8192.5", id="a fraction for an integer"),
        pytest.param("-ngl most", id="a word that is no choice"),
        pytest.param("-ngl 33.5", id="a part of a layer"),
        pytest.param("-sm pipeline", id="a mode that is none"),
        pytest.param("-fit yes", id="neither on nor off"),
        pytest.param("-ctk fp8", id="a cache type that is none"),
        pytest.param("--metrics true", id="a value for a switch"),
        pytest.param("--draft 8", id="an argument that has been removed"),
        pytest.param("--alias", id="no value where one is needed"),
        pytest.param("--control-vector-layer-range 1", id="one word where two are needed"),
    ],
)
def test_arguments_are_refused(program: LlamaServerArguments, more: str) -> None:
    with pytest.raises(ArgumentRefused):
        program.parse(shlex.split(f"{COMMON} {more}"))
