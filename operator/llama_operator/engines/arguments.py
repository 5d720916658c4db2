"""Names of arguments and environment by engine version, and what users may not set beside them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llama_operator.api.enums import EngineType
from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.engine_tables import (
    EngineArgument,
    argument_names,
    engine_arguments,
    engine_limits,
)
from llama_operator.catalog.rows import EngineVersion
from llama_operator.catalog.versions import version_numbers
from llama_operator.errors import SpecError

SLOTS_LIMIT: Final = 256
"""Most slots that llama-server starts with."""
_FIELD: Final = re.compile(r"[A-Za-z.]+")
_DIVIDED: Final = re.compile(r"[\s*?\[\\]")
"""What a shell makes several words of, or names of files, where an argument is not quoted."""


@dataclass(frozen=True, slots=True)
class Names:
    """How an engine version names settings."""

    names: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan) -> "Names":
        """Those of the engine version of a plan."""
        return cls(argument_names(plan.engine, version_numbers(plan.engine_version)))

    def __getitem__(self, setting: str) -> str:
        """The name of a setting.

        Raises:
            KeyError: engine_arguments.csv does not have it.
        """
        return self.names[setting]

    def joined(self, setting: str, value: object) -> str:
        """`--name=value`, one word, so that no value can look like another argument."""
        return f"{self.names[setting]}={value}"


def check_engine(spec: LlamaDeploymentSpec, version: EngineVersion) -> None:
    """Check that an engine version can follow a spec, and that extra arguments leave its plan be.

    Raises:
        SpecError: it cannot; names the field.
    """
    check_fields(spec, version)
    check_extras(spec, version)


def follows(plan: Plan, spec: LlamaDeploymentSpec) -> bool:
    """Whether the engine of a plan can follow a spec, and extra arguments leave the plan be."""
    version = EngineVersion(plan.engine, plan.engine_version, default=False, source="the plan")
    try:
        check_engine(spec, version)
    except SpecError:
        return False
    return True


def check_fields(spec: LlamaDeploymentSpec, version: EngineVersion) -> None:
    """Check that an engine version can follow the fields of a spec.

    Raises:
        SpecError: it cannot; names the field.
    """
    limits = engine_limits(version.engine, version.numbers)
    for field in asked_fields(spec):
        if (why := limits.get(field)) is not None:
            message = f"{version.engine} {version.version} cannot follow it: {why}"
            raise SpecError(_FIELD.match(field)[0], message)  # type: ignore[index]


def check_extras(spec: LlamaDeploymentSpec, version: EngineVersion) -> None:
    """Check that a user's arguments and variables leave alone what the plan sets of an engine.

    Raises:
        SpecError: one does not; names the item.
    """
    for index, argument in enumerate(spec.engine.extra_args):
        field = f"spec.engine.extraArgs[{index}]"
        row = _conflict(argument, engine_arguments(version.engine, version.numbers))
        if row is not None:
            raise SpecError(field, _conflict_text(argument, row))
        if (wrong := _form_error(argument, version.engine)) is not None:
            raise SpecError(field, wrong)
    taken = {row.name: row for row in engine_arguments(version.engine, version.numbers)}
    for index, variable in enumerate(spec.engine.env):
        if (row := taken.get(variable.name)) is not None:
            raise SpecError(f"spec.engine.env[{index}].name", _conflict_text(variable.name, row))


def asked_fields(spec: LlamaDeploymentSpec) -> tuple[str, ...]:
    """Fields of a spec that some engine cannot follow, in the words of engine_limits.csv."""
    memory = spec.memory
    adapters = spec.lora.adapters if spec.lora is not None else []
    downloads = bool(adapters) and spec.cache is None
    speculative = spec.speculative
    ngram = speculative.ngram if speculative is not None else None
    asked = {
        "spec.auth": spec.auth is not None,
        "spec.chatTemplate": spec.chat_template is not None,
        "spec.hardware[].nodes": any((entry.nodes or 1) > 1 for entry in spec.hardware),
        "spec.context.concurrency>256": spec.context.concurrency > SLOTS_LIMIT,
        "spec.lora": bool(adapters),
        "spec.lora.adapters.file": any(adapter.file is not None for adapter in adapters),
        "spec.lora.adapters.file=none": any(adapter.file is None for adapter in adapters),
        f"spec.lora.adapters={spec.hub}": downloads,
        "spec.lora.adapters=drafted": bool(adapters)
        and speculative is not None
        and speculative.draft_model is not None,
        "spec.lora.adapters=uncached": downloads,
        "spec.lora.adapters[1]": len(adapters) > 1,
        f"spec.hub={spec.hub}": spec.cache is None,  # what lies on a volume is not downloaded
        f"spec.memory.cudaGraphs={memory.cuda_graphs}": True,
        "spec.memory.gpuLayers": memory.gpu_layers is not None,
        f"spec.memory.kvCacheDType={memory.kv_cache_d_type}": True,
        "spec.memory.maxNumBatchedTokens": memory.max_num_batched_tokens is not None,
        "spec.memory.maxNumSeqs": memory.max_num_seqs is not None,
        "spec.memory.maxNumSeqs>256": (memory.max_num_seqs or 0) > SLOTS_LIMIT,
        f"spec.memory.prefixCaching={memory.prefix_caching}": True,
        "spec.memory.utilizationPercent": memory.utilization_percent is not None,
        "spec.servedModelNames": bool(spec.served_model_names),
        "spec.servedModelNames[1]": len(spec.served_model_names) > 1,
        "spec.speculative.draftModel": speculative is not None
        and speculative.draft_model is not None,
        "spec.speculative.ngram": ngram is not None,
        "spec.speculative.ngram.lookupTokens": ngram is not None
        and ngram.lookup_tokens is not None,
        "spec.tls": spec.tls is not None,
    }
    return tuple(field for field, is_asked in asked.items() if is_asked)


def _conflict(argument: str, rows: tuple[EngineArgument, ...]) -> EngineArgument | None:
    """The row that an argument would set as well, by its name or by the beginning of it."""
    if not argument.startswith("-"):
        return None
    name = argument.partition("=")[0].replace("_", "-")
    return next((row for row in rows if _flag(row).startswith(name)), None)


def _flag(row: EngineArgument) -> str:
    """The flag of a row; that of a variable is called as it is, as by TGI's launcher."""
    name = row.name
    return name if name.startswith("-") else f"--{name.lower().replace('_', '-')}"


def _form_error(argument: str, engine: str) -> str | None:
    """Why an engine would not take an argument as the one that it is; None when it would."""
    if engine == EngineType.LLAMA_CPP and argument.startswith("--") and "=" in argument:
        name, _, value = argument.partition("=")
        return f"{engine} takes a flag and its value as two items: {name} and {value}"
    if engine == EngineType.TGI and (not argument or _DIVIDED.search(argument)):
        return (
            f"the image of {engine} hands arguments on unquoted, so write none with blanks or "
            "* ? [ \\; each is a variable too, for spec.engine.env"
        )
    return None


def _conflict_text(argument: str, row: EngineArgument) -> str:
    instead = f"; use {row.instead} instead" if row.instead else ""
    return f"{argument.partition('=')[0]}: the plan sets {row.name} of {row.engine}{instead}"
