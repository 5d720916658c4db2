from dataclasses import replace

import pytest

from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.kept import stored_layers
from llama_operator.sizing.models.model import FeedForward, Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.sizing.scheme_names import scheme_for
from unit.sizing.bytes.shapes import LLAMA_8B, llama


def small(*kept: str) -> ModelShape:
    return llama(hidden=512, intermediate=1024, layers=4, heads=4, kv_heads=2, vocab=256, kept=kept)


def names_kept(model: ModelShape, scheme: str = "fp8-dynamic") -> list[set[str]]:
    return [
        {stored.layer.tensors[position].name for position in stored.kept}
        for stored in stored_layers(model, scheme_for(scheme))
    ]


ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
MLP = {"gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("kept", "everywhere"),
    [
        pytest.param(("lm_head",), set(), id="lm_head is no part of a layer"),
        pytest.param(("gate",), set(), id="a router's name is not that of gate_proj"),
        pytest.param(("re:.*lm_head", "re:vision_tower.*"), set(), id="expressions for others"),
        pytest.param(("o_proj",), {"o_proj"}, id="the name of a layer"),
        pytest.param(("self_attn",), ATTENTION, id="the name of a module"),
        pytest.param(("model.layers.*.self_attn",), ATTENTION, id="a star for the layers"),
        pytest.param(("*.mlp.down_proj",), {"down_proj"}, id="a star for what is before"),
        pytest.param((r"re:.*self_attn\..*",), ATTENTION, id="an expression"),
        pytest.param(("re:.*mlp.*", "k_proj"), {*MLP, "k_proj"}, id="two entries"),
        pytest.param(("qkv_proj",), {"q_proj", "k_proj", "v_proj"}, id="a fused name"),
        pytest.param(("mlp.gate_up_proj",), {"gate_proj", "up_proj"}, id="a fused path"),
    ],
)
def test_entries_name_layers_everywhere(kept: tuple[str, ...], everywhere: set[str]) -> None:
    assert names_kept(small(*kept)) == [everywhere] * 4


@pytest.mark.parametrize(
    "entry",
    [
        "model.layers.2.self_attn.o_proj",
        "language_model.model.layers.2.self_attn.o_proj",
        "layers.2.self_attn.o_proj",
        r"re:.*layers\.2\..*o_proj",
        "model.layers.2.*.o_proj",
    ],
)
def test_entries_name_one_layer(entry: str) -> None:
    assert names_kept(small(entry)) == [set(), set(), {"o_proj"}, set()]


def test_an_entry_keeps_a_whole_layer() -> None:
    assert names_kept(small("model.layers.0")) == [ATTENTION | MLP, set(), set(), set()]


def test_metas_fp8_keeps_attention_and_the_edges_without_entries() -> None:
    inner = [ATTENTION] * 2
    assert names_kept(small(), "fbgemm-fp8") == [ATTENTION | MLP, *inner, ATTENTION | MLP]


@pytest.mark.parametrize("scheme", ["none", "Q4_K_M", "mlx-4bit-g64"])
def test_files_made_without_a_configuration_keep_nothing(scheme: str) -> None:
    assert names_kept(small("self_attn"), scheme) == [set()] * 4


def test_what_is_kept_has_16_bit_in_the_checkpoint() -> None:
    fp8 = scheme_for("fp8-dynamic")
    # q and o of 512 x 512, k and v of 256 x 512: one byte more for each weight, but no scales
    elements, outputs = 2 * 512 * 512 + 2 * 256 * 512, 2 * 512 + 2 * 256
    difference = checkpoint_bytes(small("self_attn"), fp8) - checkpoint_bytes(small(), fp8)
    assert difference == 4 * (elements - 4 * outputs)


def test_experts_are_kept_by_the_name_of_one_or_all() -> None:
    experts = Tensor("experts.down_proj", Part.EXPERTS, (64, 64), Split.ROW, count=8, linear=True)
    layer = Layer((experts,), None, FeedForward(expert_width=64, experts=8, experts_per_token=2))
    for entry in ("mlp.experts", "model.layers.0.mlp.experts.3.down_proj", "experts"):
        model = replace(LLAMA_8B, layers=(layer,), kept=(entry,))
        assert names_kept(model) == [{"experts.down_proj"}]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param("re:(", "no regular expression of RE2: missing \\)", id="not closed"),
        pytest.param("re:^(?!lm_head)", "no regular expression of RE2", id="a look ahead"),
        pytest.param(r"re:(a)\1", "no regular expression of RE2", id="a reference back"),
        pytest.param("re:" + "a" * 401, "longer than 400 letters", id="long"),
    ],
)
def test_wrong_expressions_are_refused_by_name(entry: str, message: str) -> None:
    with pytest.raises(UnsupportedSchemeError, match=message):
        names_kept(small(entry))


@pytest.mark.parametrize(
    "entry",
    [
        # 2 ** 40 ways to match a path, which a backtracking matcher tries one after the other
        pytest.param("re:(.|.)*!$", id="two ways for each letter"),
        pytest.param("re:(.*)*!$", id="nested"),
        pytest.param("*" * 40 + "!", id="stars"),
        pytest.param("*a" * 40 + "!", id="stars and letters"),
    ],
)
def test_an_expression_that_keeps_others_busy_for_years_is_matched_at_once(entry: str) -> None:
    assert names_kept(small(entry)) == [set()] * 4


def test_a_thousand_expressions_are_matched_as_one() -> None:
    entries = [f"model.layers.{index}.mlp.*" for index in range(2, 1002)]
    assert names_kept(small(*entries)) == [set(), set(), MLP, MLP]
