"""The catalog: what exists and how it is published. Pure; lookups take microseconds."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from llama_operator.catalog import refusals
from llama_operator.catalog.gpus import MIG_MARK, SHARED_SUFFIX, unknown_gpu, visible_bytes
from llama_operator.catalog.rows import (
    EngineHost,
    EngineVersion,
    Gpu,
    Model,
    Publication,
    Scheme,
)
from llama_operator.catalog.table_set import Tables
from llama_operator.errors import CatalogError, SpecError
from llama_operator.units import Bytes

if TYPE_CHECKING:
    from llama_operator.catalog.user_rows import RowError, UserRow


class LabelledGpu(NamedTuple):
    """The row of a GPU, or one made for it, and the memory that a process sees on this one."""

    gpu: Gpu
    total_bytes: Bytes


@dataclass(frozen=True, eq=False)
class Catalog:
    """Models, publications, GPUs, schemes and engine versions, with their lookups.

    Frozen: users' rows make another catalog. Two catalogs are the same when their `digest` is.
    """

    tables: Tables

    @staticmethod
    def load() -> "Catalog":
        """The catalog that ships with this package; read once per process.

        Raises:
            CatalogError: a row is wrong; names table, row and column.
        """
        return _packaged()

    def with_user_rows(self, rows: "Iterable[UserRow]") -> "tuple[Catalog, tuple[RowError, ...]]":
        """This catalog with rows from ConfigMaps, and what is wrong with rows left out.

        The result depends on the rows, not on their order.
        """
        # Imported here: whoever has no rows of users needs no models of them.
        from llama_operator.catalog.user_merge import add_user_rows

        tables, errors = add_user_rows(self.tables, rows)
        return Catalog(tables), errors

    @cached_property
    def digest(self) -> str:
        """Hash of every row, as 64 hexadecimal digits."""
        return hashlib.sha256(repr(self.tables).encode()).hexdigest()

    def model(self, name: str, size: str) -> Model:
        """One size of a model.

        Raises:
            SpecError: UnknownModel, with the names or sizes that exist.
        """
        sizes = self._models.get(name)
        if sizes is None:
            raise refusals.unknown_model(name, sorted(self._models))
        model = sizes.get(size)
        if model is None:
            raise refusals.unknown_size(name, size, sizes)
        return model

    def publications(self, name: str, size: str) -> tuple[Publication, ...]:
        """Every publication of a model, those that another publisher outranks included.

        Raises:
            SpecError: UnknownModel.
        """
        self.model(name, size)
        return self._publications[name, size]

    def formats(self, name: str, size: str, hub: str | None = None) -> tuple[str, ...]:
        """Formats that a model is published in, on one hub or on any, best quality first.

        Raises:
            SpecError: UnknownModel.
        """
        published = {row.format for row in self.publications(name, size) if hub in (None, row.hub)}
        return tuple(rule.name for rule in self.tables.formats if rule.name in published)

    def resolve(
        self, model: str, size: str, format_name: str, quantization: str | None, hub: str
    ) -> Publication:
        """The one repository for a format, quantization and hub.

        Args:
            model: catalog name, e.g. `llama-3.1-instruct`.
            size: e.g. `70b`.
            format_name: a format other than Auto, e.g. `awq`.
            quantization: as the catalog spells it, case does not matter; None takes the
                recommended one.
            hub: `HuggingFace` or `ModelScope`.

        Raises:
            SpecError: UnknownModel, ModelNotServable or NotPublished; names the field and what
                exists.
        """
        wanted = self._servable(model, size)
        where = (model, size, format_name, hub)
        found = (
            self._recommended.get(where)
            if quantization is None
            else self._chosen.get((*where, quantization.casefold()))
        )
        if found is None:
            raise refusals.not_published(
                wanted, self._publications[model, size], format_name, quantization, hub
            )
        return found

    def auto_candidates(self, model: str, size: str, hub: str) -> tuple[Publication, ...]:
        """What Auto may choose on a hub, best quality first, never below 4 bit.

        Raises:
            SpecError: UnknownModel, ModelNotServable, or NotPublished when there is nothing.
        """
        wanted = self._servable(model, size)
        everywhere = self._publications[model, size]
        candidates = [row for row in everywhere if row.hub == hub and row.auto_rank]
        if not candidates:
            raise refusals.nothing_for_auto(wanted, everywhere, hub)
        return tuple(sorted(candidates, key=lambda row: row.auto_rank))

    def gpu(self, product: str) -> Gpu | None:
        """The row of a product or alias, shared or not; None when there is none.

        MIG slices have no row: their memory is that of the node's label.
        """
        return self._gpus.get(product.removesuffix(SHARED_SUFFIX).casefold())

    def labelled_gpu(self, product: str, label_mib: int | None) -> LabelledGpu | None:
        """A GPU as a node's labels tell of it; None when neither table nor memory label do.

        The label is preferred over the table. A MIG slice has its own memory and the compute
        capability of its parent.

        Args:
            product: product of the label.
            label_mib: figure of the memory label in MiB, above 0; None without one.
        """
        row = self.gpu(product)
        if row is not None:
            total = row.total_bytes if label_mib is None else visible_bytes(row, label_mib)
            return LabelledGpu(row, total)
        if label_mib is None:
            return None
        parent = self.gpu(product.split(MIG_MARK)[0])
        made = unknown_gpu(product, label_mib, parent.compute_capability if parent else None)
        return LabelledGpu(made, made.total_bytes)

    def micro_usd_per_hour(self, product: str) -> int | None:
        """Price of one GPU of a product or alias, shared or not, in millionths of a dollar.

        That of the name itself comes before that of the product it is an alias of. None without a
        price; a MIG slice has one only under its own name.
        """
        name = product.removesuffix(SHARED_SUFFIX).casefold()
        row = self.gpu(product)
        names = (name,) if row is None else (name, row.product.casefold())
        return next((self._prices[name] for name in names if name in self._prices), None)

    def scheme(self, name: str) -> Scheme:
        """The scheme of this name; case does not matter.

        Raises:
            CatalogError: there is none.
        """
        scheme = self._schemes.get(name.casefold())
        if scheme is None:
            names = ", ".join(row.name for row in self.tables.schemes)
            msg = f"schemes.csv has no {name!r}; it has {names}"
            raise CatalogError(msg)
        return scheme

    def engine(self, name: str, version: str | None = None) -> EngineVersion:
        """A version of an engine; None takes the default. Case of the name does not matter.

        Raises:
            SpecError: no such engine or version; names those that exist.
        """
        versions = [row for row in self.tables.engines if row.engine.casefold() == name.casefold()]
        if not versions:
            names = refusals.listed(row.engine for row in self.tables.engines)
            message = f"the catalog has no engine {name!r}; it has {names}"
            raise SpecError("spec.engine.type", message)
        for row in versions:
            if row.default if version is None else row.version == version:
                return row
        known = refusals.listed(row.version for row in versions)
        message = f"the catalog has no version {version!r} of {versions[0].engine}; it has {known}"
        raise SpecError("spec.engine.version", message)

    def host(self, engine: str) -> EngineHost:
        """What pods of an engine need of their node.

        Raises:
            CatalogError: engine_hosts.csv says nothing of this engine.
        """
        for row in self.tables.hosts:
            if row.engine.casefold() == engine.casefold():
                return row
        msg = f"engine_hosts.csv has no row for {engine}"
        raise CatalogError(msg)

    def _servable(self, name: str, size: str) -> Model:
        model = self.model(name, size)
        if model.not_servable:
            raise refusals.not_servable(model)
        return model

    @cached_property
    def _models(self) -> Mapping[str, Mapping[str, Model]]:
        models: dict[str, dict[str, Model]] = {}
        for row in self.tables.models:
            models.setdefault(row.name, {})[row.size] = row
        return models

    @cached_property
    def _publications(self) -> Mapping[tuple[str, str], tuple[Publication, ...]]:
        rows: dict[tuple[str, str], list[Publication]] = {}
        for row in self.tables.publications:
            rows.setdefault((row.model, row.size), []).append(row)
        return {key: tuple(found) for key, found in rows.items()}

    @cached_property
    def _chosen(self) -> Mapping[tuple[str, ...], Publication]:
        return {
            (row.model, row.size, row.format, row.hub, row.quantization.casefold()): row
            for row in self.tables.publications
            if row.publisher_rank == 1
        }

    @cached_property
    def _recommended(self) -> Mapping[tuple[str, ...], Publication]:
        return {
            (row.model, row.size, row.format, row.hub): row
            for row in self.tables.publications
            if row.recommended
        }

    @cached_property
    def _gpus(self) -> Mapping[str, Gpu]:
        return {
            name.casefold(): row for row in self.tables.gpus for name in (row.product, *row.aliases)
        }

    @cached_property
    def _prices(self) -> Mapping[str, int]:
        return {row.product.casefold(): row.micro_usd_per_hour for row in self.tables.prices}

    @cached_property
    def _schemes(self) -> Mapping[str, Scheme]:
        return {row.name.casefold(): row for row in self.tables.schemes}


@lru_cache(maxsize=1)
def _packaged() -> Catalog:
    return Catalog(Tables.read())
