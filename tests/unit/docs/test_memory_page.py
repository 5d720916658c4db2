"""docs/explanation/memory.md: its arithmetic holds, and its figures are the code's."""

import json

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.training_tables import METHODS
from llama_operator.cli.main import main
from llama_operator.cli.size_question import catalog_shape
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.gguf import gguf_parts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.support import Reason
from llama_operator.units import GB, GIB
from unit.docs.arithmetic import equations, evaluate, lines
from unit.docs.pages import table, text_of

PAGE = "docs/explanation/memory.md"
EQUATIONS = equations(PAGE)
AWQ = scheme_for("awq-int4-g128")
SIZES = ("8b", "70b", "405b")


def shape(size: str) -> ModelShape:
    return catalog_shape(Catalog.load().model("llama-3.1-instruct", size))


@pytest.mark.parametrize("name", EQUATIONS)
def test_both_sides_of_an_equation_are_equal(name: str) -> None:
    expression, result = EQUATIONS[name]
    assert evaluate(expression) == result


def test_no_equation_is_left_unread() -> None:
    assert len([line for line in lines(PAGE) if " = " in line]) == len(EQUATIONS) == 17


def test_the_checkpoint_is_that_of_the_code() -> None:
    assert EQUATIONS["checkpoint"][1] == checkpoint_bytes(shape("70b"), AWQ)
    assert f"{shape('70b').parameters():,}" in text_of(PAGE)


def test_weights_by_tensor_parallel_size_are_those_of_the_code() -> None:
    model = shape("70b")
    for size, shown, gib in table(PAGE, "tensor parallel size"):
        held = rank_weights_bytes(
            model, AWQ, tensor_parallel_size=int(size), pipeline_parallel_size=1, stage=0
        )
        assert (shown, gib) == (f"{held:,}", f"{held / GIB:.2f}")


def test_reasons_are_those_of_the_code() -> None:
    told = {row[0].strip("`") for row in table(PAGE, "reason")}
    assert told == {reason.value for reason in Reason} - {"unsupported-model"}


def size_as_json(words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    main(["size", *words.split(), "-o", "json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_node_of_llama_cpp_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    found = size_as_json(
        "llama-3.1-instruct 70b --quantization Q4_K_M --gpu NVIDIA-L4 --max-model-len 8192 "
        "-ngl auto",
        capsys,
    )
    node = found["node"]
    assert isinstance(node, dict)
    assert EQUATIONS["layers on the CPU"][1] == 81 - int(str(found["n_gpu_layers"]))
    assert EQUATIONS["KV cache on the CPU"][1] == node["kv_cache_bytes"]
    layers = gguf_parts(shape("70b"), "Q4_K_M").layer_bytes[:45]
    assert EQUATIONS["matrix of the input"][1] + sum(layers) == node["weights_bytes"]


def test_tokens_and_training_are_those_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    served = size_as_json(
        "llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-80GB --max-model-len 32768",
        capsys,
    )
    assert EQUATIONS["tokens"][1] == served["kv_cache_tokens"]
    trained = size_as_json("llama-3.1-instruct 8b --train lora --sequence-length 512", capsys)
    assert EQUATIONS["activations"][1] == trained["activation_bytes"]
    assert EQUATIONS["weights of adapters"][1] == trained["trained_parameters"]


def test_published_training_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    rows = iter(table(PAGE, "model"))
    for size in SIZES:
        words = f"llama-3.1-instruct {size} --train lora --sequence-length 512"
        published = size_as_json(words, capsys)["published"]
        assert isinstance(published, list)
        for method, found in zip(METHODS, published, strict=True):
            assert next(rows) == [
                size.upper(),
                method,
                f"{found['published_bytes'] / GB:,.0f}",
                f"{found['computed_bytes'] / GB:,.1f}",
                f"{found['error_percent']:+.1f} %",
            ]
            assert method == "full" or abs(found["error_percent"]) < 15
    assert list(rows) == []
