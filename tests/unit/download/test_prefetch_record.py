"""Termination messages: what is in them, and that they always fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.download.facts import DtypeTotal, HubFile, SafetensorsFacts
from llama_operator.download.prefetch import Prefetched
from llama_operator.download.prefetch_record import (
    LIMIT_BYTES,
    error_record,
    reason_of,
    success_record,
    termination_text,
)
from llama_operator.errors import (
    ChecksumError,
    FileNotFoundInRepositoryError,
    GatedRepositoryError,
    HubAccessError,
    HubContentError,
    HubTimeoutError,
    HubUnreachableError,
    InputError,
    LlamaOperatorError,
    NotCachedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    VolumeError,
    VolumeTooSmallError,
)
from unit.download.facts_made import gguf_facts, model_facts_made

FILES = (HubFile("model.safetensors", 1_000, "a" * 64), HubFile("config.json", 24, "b" * 40))


def fetched(files: tuple[HubFile, ...] = FILES, **changes: Any) -> Prefetched:
    return Prefetched(Path("/models/hub/x"), model_facts_made(**changes), files, 24, 1.25)


def test_a_folder_for_transformers() -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "architectures": ["LlamaForCausalLM"],
        "rope_scaling": {"factor": 8.0},
        "quantization_config": {"quant_method": "awq", "bits": 4, "modules": ["lm_head"] * 999},
    }
    assert success_record(fetched(config=config), "main") == {
        "repository": "org/model",
        "hub": "HuggingFace",
        "revision": "main",
        "commit": "0" * 40,
        "gated": True,
        "path": "/models/hub/x",
        "bytes": 1_024,
        "files": 2,
        "fetched_bytes": 24,
        "seconds": 1.2,
        "dtypes": {
            "BF16": {"tensors": 291, "elements": 8_030_261_248, "bytes": 16_060_522_496},
        },
        "config": {
            "model_type": "llama",
            "hidden_size": 4096,
            "quantization_config": {"quant_method": "awq", "bits": 4},
        },
    }


def test_a_file_of_its_own_for_the_quantization_and_a_text_part() -> None:
    record = success_record(
        fetched(
            config={"model_type": "mllama", "text_config": {"hidden_size": 8, "vocab_size": 9}},
            quantization_config={"quantization": {"quant_algo": "FP8"}},
        ),
        "main",
    )
    assert record["config"] == {
        "model_type": "mllama",
        "text_config": {"hidden_size": 8, "vocab_size": 9},
        "quantization_config": {"quant_algo": "FP8"},
    }


def test_a_gguf_file() -> None:
    files = (HubFile("m-Q4_K_M.gguf", 47_000_000, "a" * 64),)
    record = success_record(fetched(files, gguf=(gguf_facts(40_000_000),)), "main")
    assert record["dtypes"] == {"Q4_K": {"tensors": 1, "bytes": 40_000_000}}
    assert record["config"] == {"general.architecture": "llama", "llama.block_count": 32}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"config": {"model_type": "ä" * 10_000, "hidden_size": 10**4_000}}, id="text"),
        pytest.param(
            {
                "config": {
                    "quantization_config": {"quant_method": "\x00" * 160, "format": "é" * 160}
                }
            },
            id="escapes",
        ),
        pytest.param(
            {
                "safetensors": SafetensorsFacts(
                    (), None, {f"Ä{place:015}": DtypeTotal(1, 1, 10**15) for place in range(999)}
                )
            },
            id="dtypes",
        ),
    ],
)
def test_a_hostile_repository_fits(changes: dict[str, Any]) -> None:
    text = termination_text(success_record(fetched(**changes), "main"))
    assert len(text) <= LIMIT_BYTES
    assert json.loads(text)["bytes"] == 1_024


def test_a_long_message_is_cut() -> None:
    record = error_record(HubContentError("ä" * 10_000))
    assert len(termination_text(record)) <= LIMIT_BYTES
    assert record["message"].endswith("ä…")
    assert error_record(InputError("short")) == {"reason": "InvalidSpec", "message": "short"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GatedRepositoryError, Reason.REPOSITORY_ACCESS_DENIED),
        (HubAccessError, Reason.REPOSITORY_ACCESS_DENIED),
        (RepositoryNotFoundError, Reason.REPOSITORY_NOT_FOUND),
        (RevisionNotFoundError, Reason.REPOSITORY_NOT_FOUND),
        (FileNotFoundInRepositoryError, Reason.REPOSITORY_NOT_FOUND),
        (HubUnreachableError, Reason.HUB_UNREACHABLE),
        (HubTimeoutError, Reason.HUB_UNREACHABLE),
        (ChecksumError, Reason.DOWNLOAD_CORRUPT),
        (NotCachedError, Reason.MODEL_NOT_FETCHED),
        (HubContentError, Reason.REPOSITORY_UNUSABLE),
        (VolumeTooSmallError, Reason.VOLUME_TOO_SMALL),
        (VolumeError, Reason.VOLUME_UNUSABLE),
        (InputError, Reason.INVALID_SPEC),
    ],
)
def test_each_error_has_a_reason(error: type[LlamaOperatorError], reason: Reason) -> None:
    assert reason_of(error("what happened")) is reason
