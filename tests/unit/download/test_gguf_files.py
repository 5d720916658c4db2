"""Which files make up a GGUF model, and which one is meant."""

import pytest

from llama_operator.download.facts import GgufFacts, GgufHeader, GgufTensor, HubFile
from llama_operator.download.gguf_files import (
    check_parts,
    gguf_models,
    listed,
    meant,
    served_models,
    together,
)
from llama_operator.errors import HubContentError, InputError

FILES = [
    HubFile("README.md", 10),
    HubFile("Model-8B-Q4_K_M.gguf", 4_900),
    HubFile("Model-8B-Q4_K_S.gguf", 4_600),
    HubFile("Model-8B-IQ4_XS.gguf", 4_400),
    HubFile("BF16/Model-8B-BF16-00002-of-00002.gguf", 6_000),
    HubFile("BF16/Model-8B-BF16-00001-of-00002.gguf", 10_000),
    HubFile("mmproj-Model-8B-BF16.gguf", 800),
    HubFile("Model-8B-imatrix.gguf", 50),
]
MODELS = gguf_models(FILES)


def test_parts_of_a_split_model_belong_together() -> None:
    assert [(model.name, len(model.files), model.file_bytes) for model in MODELS] == [
        ("Model-8B-BF16", 2, 16_000),
        ("Model-8B-IQ4_XS", 1, 4_400),
        ("Model-8B-Q4_K_M", 1, 4_900),
        ("Model-8B-Q4_K_S", 1, 4_600),
        ("Model-8B-imatrix", 1, 50),
        ("mmproj-Model-8B-BF16", 1, 800),
    ]
    assert MODELS[0].files[0] == "BF16/Model-8B-BF16-00001-of-00002.gguf"


def test_a_size_that_is_not_told_is_none() -> None:
    assert gguf_models([HubFile("a.gguf", None)])[0].file_bytes is None


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        pytest.param("Q4_K_M", "Model-8B-Q4_K_M", id="the end of a name"),
        pytest.param("q4_k_s", "Model-8B-Q4_K_S", id="in small letters"),
        pytest.param("BF16", "Model-8B-BF16", id="a projector is not meant"),
        pytest.param("model-8b-bf16", "Model-8B-BF16", id="a name"),
        pytest.param("Model-8B-IQ4_XS.gguf", "Model-8B-IQ4_XS", id="a path"),
        pytest.param("mmproj-Model-8B-BF16", "mmproj-Model-8B-BF16", id="a projector by its name"),
    ],
)
def test_one_model_is_meant(wanted: str, name: str) -> None:
    found = meant(MODELS, wanted)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        pytest.param(
            "Q8_0",
            r"Q8_0 is none of the repository; it has Model-8B-BF16 \(0\.00 GiB\), ",
            id="none",
        ),
        pytest.param("4_XS", "4_XS is none", id="no whole word"),
        pytest.param("-", "is none", id="a dash"),
    ],
)
def test_a_word_that_means_none_is_refused(wanted: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        meant(MODELS, wanted)


def test_a_word_that_means_several_is_refused() -> None:
    models = gguf_models([HubFile("a-Q8_0.gguf", None), HubFile("b-Q8_0.gguf", None)])
    with pytest.raises(InputError, match="means several of the repository; it has a-Q8_0, b-Q8_0"):
        meant(models, "Q8_0")


def test_nothing_wanted_means_the_only_model() -> None:
    assert meant(MODELS, None) is None
    assert meant([], None) is None
    assert meant([MODELS[1], *MODELS[4:]], None) == MODELS[1]


def test_projectors_and_importance_matrices_are_no_models_to_serve() -> None:
    assert [model.name for model in served_models(MODELS)] == [
        "Model-8B-BF16", "Model-8B-IQ4_XS", "Model-8B-Q4_K_M", "Model-8B-Q4_K_S"
    ]  # fmt: skip


def test_a_long_list_is_cut() -> None:
    models = gguf_models([HubFile(f"m{number:02}.gguf", 2**31) for number in range(42)])
    assert listed(models).startswith("m00 (2.00 GiB), m01 (2.00 GiB), ")
    assert listed(models).endswith("m39 (2.00 GiB), 2 more")


def test_a_missing_part_is_refused() -> None:
    [model] = gguf_models(
        [HubFile("m-00001-of-00003.gguf", 1), HubFile("m-00003-of-00003.gguf", 1)]
    )
    with pytest.raises(HubContentError, match="m has 2 of its 3 files"):
        check_parts(model)
    check_parts(GgufFacts("a", ("a.gguf",), 1))


def test_headers_of_parts_are_put_together() -> None:
    first = GgufHeader({"split.count": 2}, {"tokens": 3}, (GgufTensor("a", "F32", (1,), 4),))
    second = GgufHeader({}, {}, (GgufTensor("b", "F16", (2,), 4),))
    assert together([first, second]) == GgufHeader(
        {"split.count": 2}, {"tokens": 3}, (*first.tensors, *second.tensors)
    )
