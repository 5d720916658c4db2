"""Deployments with a draft model: what is planned, and what is refused with the field."""

import json
from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import read_user_rows
from llama_operator.errors import SpecError
from llama_operator.planning.choices import choices
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Planned, Refusal
from llama_operator.planning.plan import plan
from unit.planning.cluster import (
    A10G,
    A100,
    CATALOG,
    T4,
    node,
    planned,
    refused,
    spec,
    spec_without_token,
)

SMALL = {"model": "llama-3.2-instruct", "size": "1b", "format": "pytorch"}


def drafted(**draft: Any) -> dict[str, Any]:
    return {"speculative": {"draftModel": {**SMALL, **draft}}}


def engines(**fields: Any) -> list[str]:
    return [choice.engine.name for choice in choices(spec(**fields), CATALOG)]


@pytest.mark.parametrize(
    ("format_name", "draft", "expected"),
    [
        pytest.param("pytorch", {}, ["vLLM", "SGLang"], id="TGI and Transformers draft with none"),
        pytest.param("awq", {}, ["vLLM", "SGLang"], id="formats of the two may differ"),
        pytest.param("ggufv2", {"format": "ggufv2"}, ["LlamaCpp"], id="GGUF"),
        pytest.param("mlx", {"format": "mlx"}, ["MLX"], id="MLX"),
    ],
)
def test_auto_takes_engines_that_draft_with_it(
    format_name: str, draft: dict[str, Any], expected: list[str]
) -> None:
    assert engines(size="8b", format=format_name, **drafted(**draft)) == expected


def test_auto_passes_over_an_engine_whose_step_the_draft_fills() -> None:
    steps = {"memory": {"maxNumSeqs": 64, "maxNumBatchedTokens": 64}}
    assert engines(size="8b", format="pytorch", **steps, **drafted()) == ["SGLang"]


@pytest.mark.parametrize(
    ("fields", "draft", "reason", "message"),
    [
        pytest.param(
            {"engine": {"type": "TGI"}}, {}, Reason.INVALID_SPEC,
            "spec.speculative.draftModel: TGI 3.3.7 cannot follow it: it drafts by lookup or with "
            "Medusa heads alone; vLLM, SGLang, LlamaCpp and MLX draft with a model",
            id="an engine that drafts with none",
        ),
        pytest.param(
            {"engine": {"type": "Transformers"}}, {}, Reason.INVALID_SPEC,
            "spec.speculative.draftModel: Transformers 5.23.0 cannot follow it: it has no argument "
            "for it; vLLM, SGLang, LlamaCpp and MLX draft with a model",
            id="an engine without speculative decoding",
        ),
        pytest.param(
            {}, {"format": "ggufv2"}, Reason.UNSUPPORTED_FORMAT,
            "spec.speculative.draftModel.format: llama-3.2-instruct 1b in ggufv2 (Q4_K_M): vLLM "
            "does not load Q4_K_M: GGUF is not part of vLLM 0.33; it needs an image with "
            "vllm-gguf-plugin",
            id="a format that the engine does not load",
        ),
        pytest.param(
            {}, {"model": "llama-3.1-instruct", "size": "70b"}, Reason.INVALID_SPEC,
            "spec.speculative.draftModel.size: llama-3.1-instruct 70b has 70,553,706,496 "
            "parameters, no fewer than the 8,030,261,248 of llama-3.1-instruct 8b; take a smaller "
            "model",
            id="a draft that is larger",
        ),
        pytest.param(
            {}, {"model": "llama-3.1", "size": "8b"}, Reason.INVALID_SPEC,
            "spec.speculative.draftModel.size: llama-3.1 8b has 8,030,261,248 parameters, no fewer "
            "than the 8,030,261,248 of llama-3.1-instruct 8b; take a smaller model",
            id="a draft as large",
        ),
        pytest.param(
            {}, {"model": "llama-9"}, Reason.UNKNOWN_MODEL,
            "spec.speculative.draftModel.model: the catalog has no model 'llama-9'; it has "
            "llama-3.1, llama-3.1-instruct, llama-3.2-instruct, llama-guard-3, prompt-guard",
            id="a model that is not there",
        ),
        pytest.param(
            {}, {"size": "2b"}, Reason.UNKNOWN_MODEL,
            "spec.speculative.draftModel.size: llama-3.2-instruct has no size '2b'; it has 1b",
            id="a size that is not there",
        ),
        pytest.param(
            {}, {"quantization": "Int4"}, Reason.NOT_PUBLISHED,
            "spec.speculative.draftModel.quantization: pytorch of llama-3.2-instruct 1b is not "
            "published in 'Int4'; write none",
            id="a quantization that is not published",
        ),
        pytest.param(
            {"hub": "ModelScope", "format": "ggufv2"}, {"format": "ggufv2"}, Reason.NOT_PUBLISHED,
            "spec.hub: ggufv2 of llama-3.2-instruct 1b is not on ModelScope; HuggingFace has it",
            id="another hub than the model's",
        ),
        pytest.param(
            {}, {"model": "prompt-guard", "size": "86m"}, Reason.MODEL_NOT_SERVABLE,
            "spec.speculative.draftModel.model: prompt-guard 86m: it is a classifier",
            id="a model that writes nothing",
        ),
        pytest.param(
            {"size": "405b", "format": "awq", "engine": {"type": "SGLang"}},
            {"model": "llama-3.1-instruct", "size": "70b", "quantization": "4-bit"},
            Reason.UNSUPPORTED_FORMAT,
            "spec.speculative.draftModel.format: llama-3.1-instruct 70b in pytorch (4-bit): SGLang "
            "would need --quantization=bitsandbytes --load-format=bitsandbytes, which holds for "
            "the model as well",
            id="a scheme that needs arguments of its own",
        ),
        pytest.param(
            {
                "memory": {"maxNumSeqs": 64, "maxNumBatchedTokens": 64},
                "engine": {"type": "vLLM"},
            },
            {}, Reason.INVALID_SPEC,
            "spec.memory.maxNumBatchedTokens: vLLM 0.33.0 takes 64 tokens of a step for the draft "
            "model; write more than 64",
            id="a step that the draft alone fills",
        ),
    ],
)  # fmt: skip
def test_what_cannot_draft_is_refused_with_the_field(
    fields: dict[str, Any], draft: dict[str, Any], reason: Reason, message: str
) -> None:
    wanted = spec(**{"size": "8b", "format": "pytorch", **fields}, **drafted(**draft))
    found = refused(wanted, node("a", A100, 8))
    assert found.reason is reason
    assert found.message.startswith(message)


def with_vocabulary(tokens: int) -> Catalog:
    """The catalog with a draft of another vocabulary, in each format."""
    row = {
        "name": "other",
        "size": "1b",
        "architecture": {
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "vocab_size": tokens,
            "max_position_embeddings": 131_072,
            "tie_word_embeddings": True,
        },
        "publications": [
            {"format": "pytorch", "quantization": "none", "repository": "a/other"},
            {
                "format": "ggufv2",
                "quantization": "Q8_0",
                "repository": "a/other-GGUF",
                "files": "other-{quantization}.gguf",
            },
        ],
    }
    rows, errors = read_user_rows("rows", {"models.yaml": json.dumps([row])})
    catalog, more = CATALOG.with_user_rows(rows)
    assert (list(errors), list(more)) == ([], [])
    return catalog


@pytest.mark.parametrize(
    ("format_name", "tokens", "allows"),
    [
        pytest.param("pytorch", 128_256, "", id="vLLM: the same"),
        pytest.param("pytorch", 128_192, "vLLM 0.33.0 allows no difference", id="vLLM: others"),
        pytest.param("ggufv2", 128_384, "", id="llama.cpp: 128 more"),
        pytest.param("ggufv2", 128_128, "", id="llama.cpp: 128 less"),
        pytest.param(
            "ggufv2", 128_385, "LlamaCpp 11434 allows a difference of at most 128",
            id="llama.cpp: 129 more",
        ),
    ],
)  # fmt: skip
def test_vocabularies_differ_by_what_the_engine_allows(
    format_name: str, tokens: int, allows: str
) -> None:
    wanted = spec(size="8b", format=format_name, **drafted(model="other", format=format_name))
    found = plan(wanted, with_vocabulary(tokens), Inventory((node("a", A100, 1),), {}, ()))
    if not allows:
        assert isinstance(found, Planned)
        return
    assert isinstance(found, Refusal)
    assert found.message == (
        f"spec.speculative.draftModel.model: other 1b has {tokens:,} tokens in its vocabulary and "
        f"llama-3.1-instruct 8b has 128,256; {allows}, so take a draft of the same family"
    )


def test_a_gpu_that_runs_the_model_and_not_the_draft_is_refused() -> None:
    # vLLM loads AWQ from 7.5 on, and fp8 from 8.0 on.
    draft = drafted(model="llama-3.1-instruct", size="8b", format="fp8")
    wanted = spec(size="70b", format="awq", engine={"type": "vLLM"}, **draft)
    found = refused(wanted, node("a", T4, 8))
    assert found.reason is Reason.UNSUPPORTED_GPU
    assert "its draft model: vLLM loads fp8-dynamic on GPUs of compute capability 8.0" in (
        found.message
    )


def test_the_plan_has_the_draft_and_its_bytes() -> None:
    wanted: dict[str, Any] = {"size": "8b", "format": "awq"}
    found = planned(spec(**wanted, **drafted()), node("a", A100, 1)).plan
    plain = planned(spec(**wanted), node("a", A100, 1)).plan

    assert found.draft is not None
    assert (found.draft.repository, found.draft.gated) == ("meta-llama/Llama-3.2-1B-Instruct", True)
    assert plain.draft is None
    assert found.memory_per_gpu.draft_weights_bytes == 2_489_454_592
    assert plain.memory_per_gpu.draft_weights_bytes is None
    assert "draft" not in plain.to_object()
    # 1,235,814,400 weights in 16 bit, with a margin for the rest of the repository
    more = found.host.disk_bytes - plain.host.disk_bytes
    assert 2_471_628_800 < more < 2_471_628_800 * 2
    assert found.startup_seconds > plain.startup_seconds
    assert (
        "llama-3.2-instruct 1b in pytorch (none) drafts: weights 2.32 GiB per GPU; the KV cache "
        "holds its part of every request"
    ) in found.reasons


@pytest.mark.parametrize(
    ("fields", "draft"),
    [
        pytest.param({"format": "awq"}, {}, id="vLLM"),
        pytest.param({"format": "awq", "engine": {"type": "SGLang"}}, {}, id="SGLang"),
        pytest.param({"format": "ggufv2"}, {"format": "ggufv2"}, id="llama.cpp"),
        pytest.param({"format": "mlx"}, {"format": "mlx"}, id="MLX"),
    ],
)
def test_the_parts_of_a_plan_add_up(fields: dict[str, Any], draft: dict[str, Any]) -> None:
    wanted = spec(size="8b", **fields, **drafted(**draft))
    memory = planned(wanted, node("a", A100, 1)).plan.memory_per_gpu
    assert memory.draft_weights_bytes
    assert memory.budget_bytes == (
        memory.weights_bytes
        + memory.draft_weights_bytes
        + memory.activation_bytes
        + memory.non_torch_bytes
        + memory.cuda_graph_bytes
        + memory.kv_cache_bytes
    )
    assert memory.headroom_bytes == memory.total_bytes - memory.budget_bytes


@pytest.mark.parametrize("tokens", [1, 4])
def test_fewer_sequences_run_with_drafts(tokens: int) -> None:
    found = planned(spec(size="8b", format="awq", **drafted(numTokens=tokens)), node("a", A100, 1))
    assert found.plan.max_num_seqs == 256 // (1 + tokens)


def test_a_step_has_room_for_the_draft_of_each_sequence() -> None:
    wanted = {"size": "8b", "format": "awq", "memory": {"maxNumSeqs": 2048}}
    found = planned(spec(**wanted, **drafted()), node("a", A100, 1)).plan
    assert (found.max_num_seqs, found.max_num_batched_tokens) == (2048, 4096)
    wanted = {"size": "8b", "format": "awq", "memory": {"maxNumBatchedTokens": 32}}
    found = planned(spec(**wanted, **drafted()), node("a", A100, 1)).plan
    assert (found.max_num_seqs, found.max_num_batched_tokens) == (16, 32)


def test_a_volume_has_room_for_both() -> None:
    wanted: dict[str, Any] = {"size": "8b", "format": "awq", "cache": {"claim": {}}}
    found = planned(spec(**wanted, **drafted()), node("a", A100, 1)).plan
    plain = planned(spec(**wanted), node("a", A100, 1)).plan
    assert found.cache is not None
    assert plain.cache is not None
    assert found.cache.model_bytes - plain.cache.model_bytes > 2_471_628_800
    assert found.host.disk_bytes == plain.host.disk_bytes


def test_a_gated_draft_needs_a_token_as_the_model_does() -> None:
    wanted = spec_without_token(size="8b", format="awq", **drafted())
    found = refused(wanted, node("a", A100, 1))
    assert found.reason is Reason.TOKEN_REQUIRED
    assert found.message.startswith(
        "spec.tokenSecretRef: meta-llama/Llama-3.2-1B-Instruct on HuggingFace is gated"
    )
    assert [json.loads(one.patch)["spec"] for one in found.alternatives] == [
        {"hub": "ModelScope"},
        {"speculative": None},
    ]


def test_what_does_not_fit_with_a_draft_may_fit_without() -> None:
    wanted = {"size": "8b", "format": "pytorch", "context": {"maxModelLen": 16_384}}
    found = refused(spec(**wanted, **drafted()), node("a", A10G, 1))
    assert "draft weights 2.32 GiB" in found.message
    shorter = [json.loads(one.patch)["spec"] for one in found.alternatives]
    assert shorter[0].keys() == {"context"}
    # The one that is proposed is planned with the draft, which takes a part of each token.
    alone = planned(spec(size="8b", format="pytorch"), node("a", A10G, 1)).plan
    assert shorter[0]["context"]["maxModelLen"] < alone.max_model_len


def test_a_draft_that_is_larger_is_refused_by_every_format() -> None:
    larger = drafted(model="llama-3.1-instruct", size="405b")
    with pytest.raises(SpecError, match=r"^spec\.speculative\.draftModel\.size: "):
        choices(spec(size="8b", **larger), CATALOG)
