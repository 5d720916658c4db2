"""Facts of any model on Hugging Face or ModelScope, without its weights.

For the command line and for jobs that fetch a model: it waits for a network, so nothing that
reconciles may call it. The facts of a commit never change; online, one request tells whether a
branch still means the commit whose facts are cached.
"""

import asyncio
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from huggingface_hub import constants, get_token

from llama_operator.download import gguf_files, hugging_face, model_scope
from llama_operator.download.cache import FactsCache, default_folder
from llama_operator.download.facts import HUBS, HubName, ModelFacts
from llama_operator.download.http import Session
from llama_operator.download.hugging_face import HuggingFace
from llama_operator.download.model_scope import ModelScope
from llama_operator.download.reading import Reader
from llama_operator.download.snapshot import Hub, Snapshot
from llama_operator.errors import HubTimeoutError, InputError, NotCachedError

TIMEOUT_SECONDS: Final = 60.0
"""Of everything together; the 163 headers of DeepSeek R1 take about ten."""

_REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,99}")
_HUB_CLASSES: Final[dict[HubName, type[HuggingFace | ModelScope]]] = {
    "HuggingFace": HuggingFace,
    "ModelScope": ModelScope,
}
_TOKEN_VARIABLE: Final = "MODELSCOPE_API_TOKEN"  # noqa: S105 - the name of a variable


def model_facts(
    repository: str,
    *,
    hub: HubName = "HuggingFace",
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    gguf: str | None = None,
) -> ModelFacts:
    """What a repository holds: configuration, sizes and dtypes, files and commit.

    Args:
        repository: name on the hub, e.g. `Qwen/Qwen3-8B`.
        hub: where it is.
        revision: branch, tag or commit; None for the hub's default branch.
        token: for gated and private repositories, sent to the endpoint only; None for none, see
            `find_token`.
        endpoint: a mirror, e.g. `https://hf-mirror.example`; None for `default_endpoint`.
        offline: answer from the cache alone. `HF_HUB_OFFLINE` does the same.
        cache_dir: folder of the cache; None for the user's.
        timeout_seconds: for everything together.
        gguf: the GGUF model whose header is read: its name, path, or end of the name such as
            `Q4_K_M`; None reads it where there is only one.

    Returns:
        The facts; from the cache when the revision means a commit that it has.

    Raises:
        InputError: an argument is wrong.
        RepositoryNotFoundError: there is no such repository, or it is private.
        RevisionNotFoundError: it has no such branch, tag or commit.
        GatedRepositoryError: its conditions must be accepted first.
        HubAccessError: the hub refuses the token, or asks for one.
        HubUnreachableError: no answer; HubTimeoutError: not in time.
        HubTooLargeError: more bytes than facts can have.
        HubContentError: an answer or file is not of its format.
        NotCachedError: offline, and the cache does not have it.
    """
    _check(repository, hub, revision, timeout_seconds)
    place = endpoint or default_endpoint(hub)
    wanted = revision or default_revision(hub)
    cache = FactsCache(cache_dir or default_folder(), hub, place, repository)
    if offline or constants.is_offline_mode():
        return _cached(cache, repository, wanted, gguf)
    return asyncio.run(
        _in_time(Session(place, token), hub, cache, repository, wanted, gguf, timeout_seconds)
    )


async def fetch_facts(
    repository: str,
    *,
    hub: HubName,
    revision: str | None,
    token: str | None,
    endpoint: str,
    cache_dir: Path,
    gguf: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> ModelFacts:
    """The same online, within an event loop; arguments and errors as of `model_facts`."""
    _check(repository, hub, revision, timeout_seconds)
    wanted = revision or default_revision(hub)
    cache = FactsCache(cache_dir, hub, endpoint, repository)
    return await _in_time(
        Session(endpoint, token), hub, cache, repository, wanted, gguf, timeout_seconds
    )


def open_hub(hub: HubName, session: Session, repository: str) -> Hub:
    """A repository on a hub."""
    return _HUB_CLASSES[hub](session, repository)


def default_revision(hub: HubName) -> str:
    """The hub's default branch."""
    return _HUB_CLASSES[hub].default_revision


def default_endpoint(hub: HubName) -> str:
    """`HF_ENDPOINT` or https://huggingface.co; the host in `MODELSCOPE_DOMAIN` or modelscope.cn."""
    if hub == "HuggingFace":
        return hugging_face.DEFAULT_ENDPOINT
    domain = os.environ.get(model_scope.DOMAIN_VARIABLE, "").strip()
    return f"https://{domain}" if domain else model_scope.DEFAULT_ENDPOINT


def find_token(hub: HubName) -> str | None:
    """The token that the user's environment or login holds, None without one.

    `HF_TOKEN` or the login of `hf auth login`; `MODELSCOPE_API_TOKEN`.
    """
    if hub == "HuggingFace":
        return get_token()
    return os.environ.get(_TOKEN_VARIABLE, "").strip() or None


def is_revision(text: str) -> bool:
    """Whether a text may name a branch, tag or commit."""
    return _REVISION.fullmatch(text) is not None and ".." not in text


def _check(repository: str, hub: str, revision: str | None, timeout_seconds: float) -> None:
    if hub not in HUBS:
        msg = f"hub must be one of {', '.join(HUBS)}, not {hub!r:.40}"
        raise InputError(msg)
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        msg = f"a repository is named like Qwen/Qwen3-8B, not {repository!r:.100}"
        raise InputError(msg)
    if revision is not None and not is_revision(revision):
        msg = f"a revision is a branch, tag or commit such as main, not {revision!r:.100}"
        raise InputError(msg)
    if not 0 < timeout_seconds < math.inf:
        msg = f"the timeout must be a number of seconds above 0, not {timeout_seconds}"
        raise InputError(msg)


def _cached(cache: FactsCache, repository: str, revision: str, gguf: str | None) -> ModelFacts:
    commit = cache.commit(revision)
    facts = None if commit is None else cache.facts(commit, revision)
    if facts is None:
        msg = (
            f"offline, and the cache has no facts of {repository} at {revision} (looked in "
            f"{cache.folder}): ask once online, or copy the cache of a machine that did"
        )
        raise NotCachedError(msg)
    model = gguf_files.meant(facts.gguf, gguf)
    if gguf is not None and model is not None and model.header is None:
        msg = (
            f"offline, and the cache has no header of the GGUF model {model.name} in {repository} "
            f"(looked in {cache.folder}): ask for it once online"
        )
        raise NotCachedError(msg)
    return facts


async def _in_time(
    session: Session,
    hub: HubName,
    cache: FactsCache,
    repository: str,
    revision: str,
    gguf: str | None,
    timeout_seconds: float,
) -> ModelFacts:
    target = open_hub(hub, session, repository)
    try:
        async with asyncio.timeout(timeout_seconds), session:
            return await _online(session, target, cache, repository, revision, gguf)
    except TimeoutError:
        msg = (
            f"{session.endpoint} did not give the facts of {repository} within "
            f"{timeout_seconds:g} seconds: try again, or allow more time"
        )
        raise HubTimeoutError(msg) from None


async def _online(
    session: Session,
    hub: Hub,
    cache: FactsCache,
    repository: str,
    revision: str,
    gguf: str | None,
) -> ModelFacts:
    snapshot = await hub.snapshot(revision)
    reader = Reader(session, hub, snapshot)
    known = cache.facts(snapshot.commit, revision)
    facts = known or await _read(reader, hub.name, repository, revision, snapshot)
    model = gguf_files.meant(facts.gguf, gguf)
    if model is not None and model.header is None:
        whole = await reader.gguf_header(model)
        models = tuple(whole if one == model else one for one in facts.gguf)
        facts = replace(facts, gguf=models, from_cache=False)
    if facts is not known:
        cache.write(facts)
    cache.write_revision(revision, snapshot.commit)
    return facts


async def _read(
    reader: Reader, hub: HubName, repository: str, revision: str, snapshot: Snapshot
) -> ModelFacts:
    config = await reader.config()
    return ModelFacts(
        hub=hub,
        repository=repository,
        revision=revision,
        commit=snapshot.commit,
        gated=snapshot.gated,
        private=snapshot.private,
        files=snapshot.files,
        config=config,
        quantization_config=await reader.quantization_config(config),
        safetensors=await reader.safetensors(),
        gguf=gguf_files.gguf_models(snapshot.files),
    )
