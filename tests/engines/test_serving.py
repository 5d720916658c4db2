"""Both engines serve the same tiny model to the clients that people use."""

from collections.abc import Iterator

import pytest
from huggingface_hub import InferenceClient
from openai import OpenAI

from support.engine_process import EngineProcess
from support.rendered_engine import MLX_REPOSITORY, NAME

QUESTION = "hello, llama 12345 \N{LATIN SMALL LETTER U WITH DIAERESIS}"
MESSAGES = [{"role": "user", "content": QUESTION}]
PROMPT_TOKENS = 30
"""<|begin_of_text|>; the header of the user, 1 + 2 + 1 and 2 line ends; 13 of the question, among
them 5 digits and 2 bytes of the last letter; <|eot_id|>; the header of the assistant, 1 + 5 + 1 and
2 line ends: 1 + 6 + 13 + 1 + 9."""
ANSWER_TOKENS = 8


@pytest.fixture(params=["llama_cpp", "mlx"])
def engine(request: pytest.FixtureRequest) -> EngineProcess:
    found: EngineProcess = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def model(engine: EngineProcess, mlx: EngineProcess) -> str:
    """mlx_lm.server knows its model by the repository alone."""
    return MLX_REPOSITORY if engine is mlx else NAME


@pytest.fixture
def openai(engine: EngineProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def hugging_face(engine: EngineProcess) -> Iterator[InferenceClient]:
    with InferenceClient(base_url=f"{engine.url}/v1", api_key="none") as client:
        yield client


def test_openai_gets_a_chat(openai: OpenAI, model: str) -> None:
    answer = openai.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=ANSWER_TOKENS, temperature=0
    )
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == PROMPT_TOKENS
    assert answer.usage.completion_tokens == ANSWER_TOKENS


def test_openai_gets_a_chat_as_a_stream(openai: OpenAI, model: str) -> None:
    with openai.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=ANSWER_TOKENS, temperature=0, stream=True
    ) as stream:
        choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices)
    assert choices[-1].finish_reason == "length"


def test_openai_gets_a_completion(openai: OpenAI, model: str) -> None:
    answer = openai.completions.create(
        model=model, prompt="the llama is", max_tokens=ANSWER_TOKENS, temperature=0
    )
    assert answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens == ANSWER_TOKENS


def test_the_inference_client_gets_a_chat(hugging_face: InferenceClient, model: str) -> None:
    answer = hugging_face.chat_completion(
        MESSAGES, model=model, max_tokens=ANSWER_TOKENS, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.usage.prompt_tokens == PROMPT_TOKENS


def test_the_inference_client_gets_a_chat_by_the_names_of_openai(
    hugging_face: InferenceClient, model: str
) -> None:
    # It has no completions: its `text_generation` speaks the protocol of TGI.
    answer = hugging_face.chat.completions.create(
        [{"role": "user", "content": "the llama is"}],
        model=model,
        max_tokens=ANSWER_TOKENS,
        temperature=0,
    )
    assert answer.usage.completion_tokens == ANSWER_TOKENS


def test_both_forms_are_the_same_model(llama_cpp: EngineProcess, mlx: EngineProcess) -> None:
    found = []
    for engine, model in ((llama_cpp, NAME), (mlx, MLX_REPOSITORY)):
        with OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(
                model=model,
                # With this one each best token is 0.049 ahead of the next in log probability;
                # one engine computes in float16 and is up to 0.004 off the other.
                messages=[{"role": "user", "content": "what can a llama carry"}],
                max_tokens=ANSWER_TOKENS,
                temperature=0,
            )
        found.append(answer.choices[0].message.content)
    assert found[0] == found[1]
