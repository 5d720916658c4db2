"""Keys, templates and calls of tools, as llama-server has them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AuthenticationError, OpenAI

from engines import Engines
from support.engine_process import LOOPBACK, EngineProcess, reserved_port
from support.tiny_llama import TinyLlama

ALIAS = "tiny"
KEY = "a secret key"
TEMPLATE = """{%- if tools %}
    {{- 'Call a function as {"name": its name, "parameters": its arguments}.' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
    {%- if message.tool_calls %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}' }}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""
"""Writes calls of tools in the form of Llama 3.1."""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris"]}},
            "required": ["city"],
        },
    },
}
MESSAGES = [{"role": "user", "content": "hello"}]


def llama_server(model: Path, port: int) -> list[str]:
    """Arguments of `llama-server` for a file."""
    options = {
        "--model": model,
        "--alias": ALIAS,
        "--host": LOOPBACK,
        "--port": port,
        "--ctx-size": 4096,
        "--parallel": 2,
        "--threads": 1,
        "-lv": 4,
    }
    return [*(str(word) for pair in options.items() for word in pair), "--metrics"]


@pytest.fixture(scope="module")
def guarded(
    engines: Engines, tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """A llama-server with a key in its environment, a template in a file and no prompt cache."""
    folder = tmp_path_factory.mktemp("guarded")
    template = folder / "chat-template.jinja"
    template.write_text(TEMPLATE, encoding="utf-8")
    with reserved_port() as port:
        arguments: list[str | Path] = [
            engines.llama_server,
            *llama_server(tiny_llama.gguf, port),
            *("--chat-template-file", template, "--no-cache-prompt"),
        ]
        with EngineProcess(arguments, port, folder, {"LLAMA_API_KEY": KEY}) as engine:
            engine.wait_status("/health")
            yield engine


@pytest.fixture
def openai(guarded: EngineProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{guarded.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/health", 200, id="probes need no key"),
        pytest.param("/metrics", 401, id="metrics do"),
        pytest.param("/v1/models", 401, id="the API does"),
        pytest.param("/slots", 401, id="requests of others are not shown"),
    ],
)
def test_what_is_open_beside_a_key(guarded: EngineProcess, path: str, status: int) -> None:
    assert guarded.get(path)[0] == status


def test_a_client_with_the_key_is_answered(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=ALIAS, messages=MESSAGES, max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


def test_a_client_with_another_key_is_not(guarded: EngineProcess) -> None:
    with (
        OpenAI(base_url=f"{guarded.url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(AuthenticationError, match="Invalid API Key"),
    ):
        client.chat.completions.create(model=ALIAS, messages=MESSAGES, max_tokens=4)


def test_the_log_shows_the_end_of_the_key_alone(guarded: EngineProcess) -> None:
    assert "api_keys: **** key" in guarded.text()
    assert KEY not in guarded.text()


def test_the_template_of_the_file_makes_the_prompt(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=ALIAS, messages=MESSAGES, max_tokens=1)
    other = openai.chat.completions.create(
        model=ALIAS, messages=MESSAGES, max_tokens=1, tools=[WEATHER]
    )
    assert answer.usage is not None
    assert other.usage is not None
    assert other.usage.prompt_tokens > answer.usage.prompt_tokens + 50, "the tools are in it"


def test_a_call_in_the_form_of_the_template_is_read(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(
        model=ALIAS,
        messages=MESSAGES,
        max_tokens=600,
        temperature=0,
        tools=[WEATHER],
        tool_choice="required",
        # A random model begins no call by itself; after the brace the grammar leaves no choice but
        # of blanks, at most 22 at each of 14 places.
        extra_body={"logit_bias": [["{", 100]]},
    )
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Paris"},
    )


def test_drafts_by_lookup_are_taken_and_change_no_answer(
    engines: Engines, llama_cpp: EngineProcess, tiny_llama: TinyLlama, port: int, tmp_path: Path
) -> None:
    drafting = ("--spec-type", "ngram-simple", "--spec-ngram-simple-size-m", "4")
    lookup = ("--spec-ngram-simple-size-n", "2")
    arguments = [engines.llama_server, *llama_server(tiny_llama.gguf, port), *drafting, *lookup]
    answers = []
    with EngineProcess(arguments, port, tmp_path) as engine:
        engine.wait_status("/health")
        for url in (llama_cpp.url, engine.url):
            with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
                answers.append(
                    client.chat.completions.create(
                        # A random model soon repeats itself, which is what lookups find.
                        model=ALIAS, messages=MESSAGES, max_tokens=200, temperature=0, seed=1
                    )
                )  # fmt: skip
    plain, drafted = answers
    assert drafted.choices[0].message.content == plain.choices[0].message.content
    assert drafted.model_extra is not None
    assert drafted.model_extra["timings"]["draft_n_accepted"] > 0
