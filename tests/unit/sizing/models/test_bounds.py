"""What is an upper bound says so, and is one."""

from dataclasses import replace
from typing import Any

import pytest

from llama_operator.errors import ConfigError
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.models.tensors import Split
from llama_operator.sizing.models.vision.towers import bounded_by_files
from llama_operator.sizing.scheme_names import scheme_for
from unit.sizing.models import configs
from unit.sizing.models.configs import NAMES, config_of

FLAT = [name for name in NAMES if "text_config" not in config_of(name)]
USUAL = [name for name in FLAT if not config_of(name)["model_type"].startswith("deepseek_v4")]


@pytest.mark.parametrize("name", USUAL)
def test_an_unknown_model_type_is_bounded_from_above(name: str) -> None:
    config = config_of(name)
    exact = model_shape(config)
    bound = model_shape({**config, "model_type": "brand_new"})
    assert len(bound.bounds) == 1
    assert "'brand_new' is not known" in bound.bounds[0]
    assert exact.parameters() < bound.parameters()
    assert exact.rope_elements <= bound.rope_elements
    assert bound.num_hidden_layers == exact.num_hidden_layers


@pytest.mark.parametrize(
    ("name", "most"),
    [
        # an output matrix of 128256 * 4096 is there already: vectors only
        ("meta-llama--Llama-3.1-8B-Instruct", 1.001),
        ("Qwen--Qwen2.5-72B-Instruct", 1.001),
        # a gate that is not there: 32 * 2560 * 10240
        ("microsoft--phi-2", 1.31),
        # a dense part beside the experts
        ("Qwen--Qwen3-30B-A3B", 1.07),
    ],
)
def test_the_bound_of_an_unknown_model_type_is_not_far(name: str, most: float) -> None:
    config = config_of(name)
    exact = model_shape(config).parameters()
    assert model_shape({**config, "model_type": "brand_new"}).parameters() < most * exact


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({**configs.NEMOTRON_3_NANO, "model_type": "x"},
                     "config.json: model_type: 'x' is not known, and hybrid_override_pattern "
                     "names a part that has no bound", id="Mamba"),
        pytest.param({**config_of("Qwen--Qwen3-8B"), "model_type": "x",
                      "is_encoder_decoder": True},
                     "config.json: model_type: 'x' is not known, and is_encoder_decoder names a "
                     "part that has no bound", id="encoder and decoder"),
        pytest.param({"model_type": "gpt2", "n_embd": 768, "n_layer": 12},
                     "config.json: model_type: 'gpt2' is not known, and without hidden_size there "
                     "is no bound for it", id="other keys"),
        pytest.param({}, "config.json: model_type: is missing; a text such as llama",
                     id="no model type"),
    ],
)  # fmt: skip
def test_what_has_no_bound_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_shape(config)
    assert str(caught.value) == message
    assert caught.value.key == "model_type"


def test_an_unknown_tower_is_bounded_by_its_widths() -> None:
    config = config_of("google--gemma-3-4b-it")
    config["vision_config"]["model_type"] = "brand_new_tower"
    model = model_shape(config)
    # 27 * (4*1152^2 + 3*1152*4304) + 8*1152*2560 + 2*2560^2 = 581,642,240; times 1.1
    assert 27 * (4 * 1152**2 + 3 * 1152 * 4304) + 8 * 1152 * 2560 + 2 * 2560**2 == 581_642_240
    assert [(tensor.shape, tensor.split) for tensor in model.vision] == [
        ((639_806_464,), Split.WHOLE)
    ]
    assert model.bounds == ("vision part: an upper bound from its widths and layers",)


def test_an_unknown_tower_is_bounded_by_the_files_where_they_are_known() -> None:
    config = config_of("google--gemma-3-4b-it")
    config["vision_config"]["model_type"] = "brand_new_tower"
    model = model_shape(config)
    text = checkpoint_bytes(replace(model, vision=()), scheme_for("none"))
    # 419,845,633 elements and a half beside the text part
    found = bounded_by_files(model, 839_691_267)
    assert [(tensor.shape, tensor.split) for tensor in found.vision] == [
        ((419_845_634,), Split.WHOLE)
    ]
    assert found.bounds == (
        "vision and audio parts: what the files hold beside the text part, whole on every GPU",
    )
    assert checkpoint_bytes(found, scheme_for("none")) == text + 839_691_268


@pytest.mark.parametrize("other_bytes", [0, -1, 10**9])
def test_files_tell_nothing_of_what_is_exact(other_bytes: int) -> None:
    exact = model_shape(config_of("google--gemma-3-4b-it"))
    assert bounded_by_files(exact, other_bytes) is exact


@pytest.mark.parametrize(
    "name",
    [
        "google--gemma-3-27b-it", "moonshotai--Kimi-VL-A3B-Instruct",
        "mistralai--Mistral-Small-3.1-24B-Instruct-2503", "ibm-granite--granite-vision-3.3-2b",
        "meta-llama--Llama-3.2-11B-Vision", "meta-llama--Llama-4-Scout-17B-16E-Instruct",
        "google--gemma-4-26B-A4B",
    ],
)  # fmt: skip
def test_the_bound_of_a_tower_is_above_the_known_ones(name: str) -> None:
    config = config_of(name)
    exact = sum(tensor.elements for tensor in model_shape(config).vision)
    config["vision_config"]["model_type"] = "brand_new_tower"
    bound = sum(tensor.elements for tensor in model_shape(config).vision)
    assert exact < bound


def test_an_audio_part_is_bounded() -> None:
    config = config_of("google--gemma-4-26B-A4B")
    config["audio_config"] = {"hidden_size": 1024, "num_hidden_layers": 12}
    model = model_shape(config)
    # 12 * 24 * 1024^2 + 8*1024*2816 + 2*2816^2 = 340,918,272; times 1.1, rounded up
    assert 12 * 24 * 1024**2 + 8 * 1024 * 2816 + 2 * 2816**2 == 340_918_272
    assert model.vision[-1].shape == (375_010_100,)
    assert model.bounds == ("audio part: an upper bound from its width and layers",)
