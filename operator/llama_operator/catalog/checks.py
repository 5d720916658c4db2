"""Checks between rows and tables: duplicates, references, and that every choice has one answer."""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from llama_operator.catalog.rows import (
    Architecture,
    BatchDefaultsRule,
    EngineHost,
    EngineVersion,
    FormatRule,
    Gpu,
    Model,
    Publication,
    Scheme,
)
from llama_operator.errors import CatalogError

_FILE_TEMPLATE = re.compile(r"[A-Za-z0-9._{}-]+(?:/[A-Za-z0-9._{}-]+)*")
_PLACEHOLDERS: Final = {"quantization", "part", "parts"}


def check_unique(table: str, column: str, names: Iterable[str]) -> None:
    """Check that no name occurs twice, whatever its case.

    Raises:
        CatalogError: one does.
    """
    for name, count in Counter(name.casefold() for name in names).items():
        if count > 1:
            msg = f"{table}, column {column}: {name!r} occurs {count} times"
            raise CatalogError(msg)


def check_architectures(rows: Iterable[Architecture]) -> None:
    """Check names and that heads can be shared out.

    Raises:
        CatalogError: a row is wrong.
    """
    rows = tuple(rows)
    check_unique("architectures.csv", "name", (row.name for row in rows))
    for row in rows:
        if row.num_attention_heads % row.num_key_value_heads:
            msg = (
                f"architectures.csv, {row.name}, column num_key_value_heads: "
                f"{row.num_key_value_heads} does not divide {row.num_attention_heads} heads"
            )
            raise CatalogError(msg)


def check_models(rows: Iterable[Model]) -> None:
    """Check names, and that each model either has an architecture or says why none serves it.

    Raises:
        CatalogError: a row is wrong.
    """
    rows = tuple(rows)
    check_unique("models.csv", "name and size", (f"{row.name} {row.size}" for row in rows))
    for row in rows:
        where = f"models.csv, {row.name} {row.size}, column"
        if (row.architecture is None) != bool(row.not_servable):
            msg = f"{where} not_servable: needed without an architecture, and only then"
            raise CatalogError(msg)
        if row.architecture and row.context_length > row.architecture.max_position_embeddings:
            msg = f"{where} context_length: above max_position_embeddings of the architecture"
            raise CatalogError(msg)


def check_gpus(rows: Iterable[Gpu]) -> None:
    """Check that products and aliases are distinct.

    Raises:
        CatalogError: one occurs twice.
    """
    check_unique(
        "gpus.csv",
        "product and aliases",
        (name for row in rows for name in (row.product, *row.aliases)),
    )


def check_engines(
    versions: Iterable[EngineVersion],
    rules: Iterable[BatchDefaultsRule],
    hosts: Iterable[EngineHost],
) -> None:
    """Check that each engine has one default version, host needs, and batch defaults for any GPU.

    Raises:
        CatalogError: one is missing or doubled.
    """
    versions, rules, hosts = tuple(versions), tuple(rules), tuple(hosts)
    check_unique("engines.csv", "version", (f"{row.engine} {row.version}" for row in versions))
    check_unique("engine_hosts.csv", "engine", (row.engine for row in hosts))
    for engine in sorted({row.engine for row in versions}):
        if sum(row.default for row in versions if row.engine == engine) != 1:
            msg = f"engines.csv, {engine}, column default: one version must be the default"
            raise CatalogError(msg)
        if engine not in {row.engine for row in hosts}:
            msg = f"engine_hosts.csv, column engine: {engine} has no row"
            raise CatalogError(msg)
    for row in versions:
        if not any(
            _matches_version(rule, row.engine, row.version)
            and not rule.min_gpu_bytes
            and not rule.excluded_product
            for rule in rules
        ):
            msg = f"engine_defaults.csv: no row for small GPUs on {row.engine} {row.version}"
            raise CatalogError(msg)


def _matches_version(rule: BatchDefaultsRule, engine: str, version: str) -> bool:
    """Whether a rule of engine_defaults.csv speaks of this version."""
    numbers = tuple(int(part) for part in version.split("."))
    return (
        rule.engine == engine
        and rule.min_version <= numbers
        and (not rule.below_version or numbers < rule.below_version)
    )


def check_publications(
    rows: Iterable[Publication],
    models: Iterable[Model],
    schemes: Iterable[Scheme],
    formats: Iterable[FormatRule],
) -> None:
    """Check references, and that every format, quantization and hub resolves to one repository.

    Raises:
        CatalogError: a row is wrong, a choice is open, or a model is published nowhere.
    """
    rows = tuple(rows)
    families = {row.name: row.family for row in schemes}
    allowed = {row.name: row.families for row in formats}
    unpublished = {(row.name, row.size) for row in models}
    known = frozenset(unpublished)
    ranks: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    recommended: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        if (row.model, row.size) not in known:
            raise _publication_error(row, "model", "models.csv has no such model and size")
        unpublished.discard((row.model, row.size))
        if row.scheme not in families:
            raise _publication_error(row, "scheme", f"schemes.csv has no {row.scheme!r}")
        if families[row.scheme] not in allowed[row.format]:
            raise _publication_error(row, "scheme", f"{row.scheme} is no scheme of {row.format}")
        if (wrong := file_template_error(row.format, row.files, row.parts)) is not None:
            raise _publication_error(row, "files", wrong)
        choice = (row.model, row.size, row.format, row.hub)
        ranks[(*choice, row.quantization.casefold())].append(row.publisher_rank)
        recommended[choice] += row.recommended and row.publisher_rank == 1
        if row.recommended and row.publisher_rank != 1:
            raise _publication_error(row, "recommended", "only publisher_rank 1 is recommended")
    for key, found in ranks.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            msg = f"publications.csv, {' '.join(key)}, column publisher_rank: not 1, 2, …: {found}"
            raise CatalogError(msg)
    for key, count in recommended.items():
        if count != 1:
            msg = f"publications.csv, {' '.join(key)}, column recommended: {count} rows, not one"
            raise CatalogError(msg)
    if unpublished:
        names = ", ".join(" ".join(key) for key in sorted(unpublished))
        msg = f"publications.csv, column model: no row for {names}"
        raise CatalogError(msg)


def file_template_error(format_name: str, files: str, parts: int) -> str | None:
    """What is wrong with a file name template; None when it is right.

    GGUF repositories hold one file per quantization, so they need a template with
    `{quantization}`, and with `{part}` and `{parts}` when files are split; other formats have none.
    """
    if format_name != "ggufv2":
        return (
            None if not files and parts == 1 else f"{format_name} is loaded as a whole repository"
        )
    if not _FILE_TEMPLATE.fullmatch(files) or ".." in files:
        return "must be a relative path of letters, digits, . _ - and placeholders"
    try:
        fields = [part[1:] for part in string.Formatter().parse(files) if part[1] is not None]
    except ValueError as error:
        return str(error)
    names = {name for name, _, _ in fields}
    if any(spec or conversion for _, spec, conversion in fields) or not names <= _PLACEHOLDERS:
        return "only {quantization}, {part} and {parts} may stand in braces"
    if "quantization" not in names:
        return "needs {quantization}"
    if ({"part", "parts"} & names) != ({"part", "parts"} if parts > 1 else set()):
        return "needs {part} and {parts} when split, and only then"
    return None


def _publication_error(row: Publication, column: str, message: str) -> CatalogError:
    key = " ".join((row.model, row.size, row.format, row.quantization, row.hub))
    return CatalogError(f"publications.csv, {key}, column {column}: {message}")
