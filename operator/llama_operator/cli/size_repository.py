"""Repositories for `llama-operator size`: facts from a hub, and what is wrong with them."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from llama_operator.cli.size_gguf import subject_of_model
from llama_operator.cli.size_question import Subject, one_quantization, subject_of_config
from llama_operator.download.compare import compare, stored_bytes
from llama_operator.download.facts import GgufFacts, ModelFacts
from llama_operator.download.gguf_files import listed, matching, meant, served_models
from llama_operator.download.hub import find_token, is_revision, model_facts
from llama_operator.errors import (
    HubError,
    HubUnreachableError,
    InputError,
    RevisionNotFoundError,
)
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.models.vision.towers import bounded_by_files

SAFETENSORS: Final = ".safetensors"
_OTHER_WEIGHTS: Final = (".bin", ".pt", ".pth")
"""Endings of weights that are neither safetensors nor GGUF."""


def subject_of_repository(arguments: argparse.Namespace) -> Subject:
    """The model of a repository: by its configuration, or by the header of a GGUF file.

    `--quantization` names a GGUF file where the repository has one of that name, else a scheme.

    Raises:
        InputError: the hub refuses, or what the repository holds cannot be sized.
        HubUnreachableError: the hub does not answer.
    """
    facts = _facts(arguments, None)
    model = _gguf_model(facts, arguments)
    if model is not None:
        if model.header is None:
            facts = _facts(arguments, model.files[0])
            model = next(one for one in facts.gguf if one.files == model.files)
        return subject_of_model(facts, model, arguments)
    if facts.config is None:
        msg = (
            f"MODEL {arguments.model!r} has no config.json and no GGUF file; give the "
            "configuration of the model that it was made from by --config, with --quantization"
        )
        raise InputError(msg)
    config = dict(facts.config)
    if facts.quantization_config is not None and "quantization_config" not in config:
        config["quantization_config"] = facts.quantization_config
    subject = subject_of_config(config, arguments.model, facts.repository, arguments)
    if arguments.quantization:
        return subject
    stored, shape = stored_bytes(facts), subject.shape
    if stored is not None:
        text = checkpoint_bytes(replace(shape, vision=()), subject.scheme)
        shape = bounded_by_files(shape, stored - text)
    note = compare(facts, checkpoint_bytes(shape, subject.scheme)) or ""
    return replace(
        subject,
        shape=shape,
        stored_bytes=stored,
        note=note,
        largest_file_bytes=max(_weight_files(facts), default=None),
    )


def _weight_files(facts: ModelFacts) -> Iterator[int]:
    """Bytes of the files that hold safetensors."""
    for file in facts.files:
        if file.path.endswith(SAFETENSORS) and file.size_bytes is not None:
            yield file.size_bytes


def _gguf_model(facts: ModelFacts, arguments: argparse.Namespace) -> GgufFacts | None:
    """The GGUF model that is asked for; None where the configuration is.

    Raises:
        InputError: the repository has several, and none or more than one is named.
    """
    models = served_models(facts.gguf)
    alone = facts.safetensors is None and not any(
        file.path.endswith(_OTHER_WEIGHTS) for file in facts.files
    )
    wanted = one_quantization(arguments) or next(iter(arguments.quantization or ()), None)
    if not models:
        return None
    if wanted is not None and (matching(facts.gguf, wanted) or (alone and facts.config is None)):
        try:
            return meant(facts.gguf, wanted)
        except InputError as error:
            msg = f"--quantization: {error}"
            raise InputError(msg) from None
    if wanted is not None or not alone:
        return None
    if len(models) > 1:
        msg = (
            f"MODEL {arguments.model!r} has several GGUF files, so --quantization must name one: "
            f"{listed(models)}"
        )
        raise InputError(msg)
    return models[0]


def _facts(arguments: argparse.Namespace, gguf: str | None) -> ModelFacts:
    """Facts of the repository, with the header of a GGUF file where one is named.

    Raises:
        InputError: the hub refuses, or gives what cannot be read; names the argument.
        HubUnreachableError: the hub does not answer.
    """
    hub, name, revision = arguments.hub, arguments.model, arguments.revision
    if revision is not None and not is_revision(revision):
        msg = f"--revision {revision!r:.100}: a revision is a branch, tag or commit such as main"
        raise InputError(msg)
    try:
        return model_facts(
            name,
            hub=hub,
            revision=revision,
            token=find_token(hub),
            gguf=gguf,
            timeout_seconds=arguments.timeout,
        )
    except HubUnreachableError:
        raise
    except RevisionNotFoundError as error:
        option = "MODEL" if revision is None else "--revision"
        msg = f"{option} {revision or name!r}: {error}"
        raise InputError(msg) from None
    except (HubError, InputError) as error:
        msg = f"MODEL {name!r}: {error}"
        raise InputError(msg) from None
