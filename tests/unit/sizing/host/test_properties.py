"""What holds for every model, GPU and number of layers."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llama_operator.sizing.host import disk_bytes, host_parts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.offload import gpu_layers_that_fit, offload
from llama_operator.units import GIB
from unit.sizing.budget.settings import A100_80GB, CATALOG
from unit.sizing.bytes.shapes import llama
from unit.sizing.host.settings import llama_cpp

shapes = st.builds(
    llama,
    hidden=st.sampled_from([512, 1024, 4096]),
    intermediate=st.sampled_from([1024, 14336]),
    layers=st.integers(1, 40),
    heads=st.sampled_from([8, 32]),
    kv_heads=st.sampled_from([2, 8]),
    vocab=st.sampled_from([1024, 128_256]),
    tied=st.booleans(),
)
file_types = st.sampled_from(["Q2_K", "Q4_K_M", "Q8_0", "F16"])
contexts = st.sampled_from([256, 8192, 131_072])


@given(shapes, file_types, contexts)
def test_more_layers_on_a_gpu_never_need_more_of_the_host(
    shape: ModelShape, file_type: str, context: int
) -> None:
    made = llama_cpp(shape, file_type, max_model_len=context)
    host = CATALOG.host("LlamaCpp")
    found = [
        offload(replace(made, gpu_layers=count)) for count in range(shape.num_hidden_layers + 2)
    ]
    for fewer, more in pairwise(found):
        assert more.host.weights_bytes <= fewer.host.weights_bytes
        assert more.host.total_bytes < fewer.host.total_bytes
        assert more.layers_on_host <= fewer.layers_on_host
    memory = [
        host_parts(replace(made, gpu_layers=count), host).memory_bytes
        for count in range(1, len(found))
    ]
    assert memory == sorted(memory, reverse=True)


@given(shapes, file_types, contexts, st.integers(0, 20 * GIB), st.integers(1, 3))
def test_the_chosen_number_fits_and_one_more_does_not(
    shape: ModelShape, file_type: str, context: int, free_bytes: int, gpus: int
) -> None:
    made = llama_cpp(
        shape, file_type, A100_80GB, free_bytes=free_bytes, gpus=gpus, max_model_len=context
    )
    found = gpu_layers_that_fit(made)
    assert all(gpu.total_bytes <= free_bytes for gpu in found.gpus)
    assert len(found.gpus) == (gpus if found.gpu_layers else 0)
    if found.gpu_layers < found.slots:
        more = offload(replace(made, gpu_layers=found.gpu_layers + 1))
        assert max(gpu.total_bytes for gpu in more.gpus) > free_bytes


@given(shapes, file_types, st.integers(0, 20 * GIB), st.integers(0, 20 * GIB), st.integers(1, 3))
def test_what_fits_still_fits_with_more_memory(
    shape: ModelShape, file_type: str, free_bytes: int, further_bytes: int, gpus: int
) -> None:
    made = llama_cpp(shape, file_type, A100_80GB, free_bytes=free_bytes, gpus=gpus)
    larger = replace(made, total_bytes=made.total_bytes + further_bytes)
    assert gpu_layers_that_fit(larger).gpu_layers >= gpu_layers_that_fit(made).gpu_layers


@given(shapes, file_types, st.integers(0, 41), st.integers(1, 3))
def test_every_byte_of_weights_and_cache_is_somewhere(
    shape: ModelShape, file_type: str, gpu_layers: int, gpus: int
) -> None:
    made = llama_cpp(shape, file_type, A100_80GB, gpus=gpus)
    found, whole = offload(replace(made, gpu_layers=gpu_layers)), offload(made)
    cache = found.host.kv_cache_bytes + sum(gpu.kv_cache_bytes for gpu in found.gpus)
    assert cache == sum(gpu.kv_cache_bytes for gpu in whole.gpus)
    if found.gpus:
        weights = found.host.weights_bytes + sum(gpu.weights_bytes for gpu in found.gpus)
        assert weights == whole.host.weights_bytes + sum(gpu.weights_bytes for gpu in whole.gpus)


@given(st.integers(0, 10**13), st.integers(0, 10**12))
def test_a_larger_download_takes_more_disk(size: int, further: int) -> None:
    for contents in ("repository", "gguf"):
        assert size < disk_bytes(size, contents) <= disk_bytes(size + further, contents)
