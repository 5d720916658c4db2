"""Users' GPUs, added to those that exist or in their place."""

from dataclasses import replace

from llama_operator.catalog.gpus import SHARED_SUFFIX, unknown_gpu, visible_bytes
from llama_operator.catalog.refusals import listed
from llama_operator.catalog.rows import Gpu
from llama_operator.catalog.table_set import Tables
from llama_operator.catalog.user_rows import RefusedRowError, UserRow
from llama_operator.catalog.user_schema import UserGpu
from llama_operator.units import MIB, Bytes


class AddedGpus:
    """GPUs that grow row by row; a refused row leaves them as they were."""

    def __init__(self, tables: Tables) -> None:
        self.gpus = {row.product.casefold(): row for row in tables.gpus}
        self._owners: dict[str, UserRow] = {}

    def add(self, row: UserRow, wanted: UserGpu) -> None:
        """Add a GPU, or replace figures of one that exists.

        Raises:
            RefusedRowError: a name is taken or a figure is missing or impossible.
        """
        product = wanted.product.casefold()
        if (owner := self._owners.get(product)) is not None:
            raise RefusedRowError(
                "product",
                f"is given by ConfigMap {owner.configmap}, {owner.key}[{owner.row}] already",
            )
        gpu = _gpu(row, wanted, self._known(product))
        names = {name.casefold() for name in gpu.aliases}
        if product in names:
            raise RefusedRowError("aliases", f"{gpu.product} is the product itself")
        for other, existing in self.gpus.items():
            if other != product and (taken := names & _names(existing)):
                raise RefusedRowError(
                    "aliases", f"{listed(sorted(taken))} belongs to {existing.product}"
                )
        for other, existing in self.gpus.items():
            kept = tuple(alias for alias in existing.aliases if alias.casefold() != product)
            if kept != existing.aliases:
                self.gpus[other] = replace(existing, aliases=kept)
        self.gpus[product] = gpu
        self._owners[product] = row

    def _known(self, product: str) -> Gpu | None:
        """The row of a product or alias; an alias that gets its own row begins with its figures."""
        if (row := self.gpus.get(product)) is not None:
            return row
        for row in self.gpus.values():
            if product in _names(row):
                return replace(row, aliases=())
        return None


def _names(row: Gpu) -> set[str]:
    return {row.product.casefold(), *(alias.casefold() for alias in row.aliases)}


def _gpu(row: UserRow, wanted: UserGpu, base: Gpu | None) -> Gpu:
    """The user's figures over those of the replaced row, or over what follows from the label."""
    capability = _pair(wanted.compute_capability)
    if wanted.product.upper().endswith(SHARED_SUFFIX):
        raise RefusedRowError(
            "product", f"write it without {SHARED_SUFFIX}: sharing is no other GPU"
        )
    if base is None:
        if wanted.label_mib is None:
            raise RefusedRowError(
                "label_mib",
                "is required for a new product: what the node label nvidia.com/gpu.memory says",
            )
        base = unknown_gpu(wanted.product, wanted.label_mib, capability)
        if wanted.vendor not in (None, base.vendor):
            total = (
                base.label_bytes
                if wanted.vendor != "NVIDIA"
                else visible_bytes(None, wanted.label_mib)
            )
            base = replace(base, vendor=wanted.vendor or base.vendor, total_bytes=total)
    label_mib = wanted.label_mib or base.label_bytes // MIB
    aliases = base.aliases if wanted.aliases is None else wanted.aliases
    gpu = replace(
        base,
        product=wanted.product,
        aliases=tuple({alias.casefold(): alias for alias in aliases}.values()),
        vendor=wanted.vendor or base.vendor,
        marketed_gb=wanted.marketed_gb or base.marketed_gb,
        label_bytes=Bytes(label_mib * MIB),
        total_bytes=Bytes(wanted.total_bytes or visible_bytes(base, label_mib)),
        reserved_at_start_bytes=Bytes(
            base.reserved_at_start_bytes
            if wanted.reserved_at_start_bytes is None
            else wanted.reserved_at_start_bytes
        ),
        compute_capability=capability or base.compute_capability,
        bandwidth_bytes_per_second=base.bandwidth_bytes_per_second
        if wanted.bandwidth_bytes_per_second is None
        else wanted.bandwidth_bytes_per_second,
        nvlink_gb_per_second=base.nvlink_gb_per_second
        if wanted.nvlink_gb_per_second is None
        else wanted.nvlink_gb_per_second,
        instances=base.instances if wanted.instances is None else wanted.instances,
        source=wanted.source or f"ConfigMap {row.configmap}",
    )
    if not 0 < gpu.total_bytes <= gpu.label_bytes:
        raise RefusedRowError("total_bytes", "must be above 0 and at most label_mib")
    if (gpu.vendor == "NVIDIA") != (gpu.compute_capability is not None):
        raise RefusedRowError("compute_capability", "NVIDIA GPUs need one, others have none")
    return gpu


def _pair(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)
