"""The catalog with users' rows: ConfigMaps with our label, watched.

Rows in the operator's own namespace hold everywhere; rows in another namespace hold for the
deployments of that namespace alone, so that nobody changes the catalog of others.
"""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from llama_operator.api.names import CATALOG_LABEL
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import RowError, UserRows, read_user_rows
from llama_operator.cluster import resources
from llama_operator.cluster.client import ApiClient, Json
from llama_operator.cluster.watch import ObjectKey, Watch

_log = logging.getLogger(__name__)

SELECTOR: Final = {"labelSelector": f"{CATALOG_LABEL}=true"}


class CatalogMap(NamedTuple):
    """What one ConfigMap holds, read once."""

    uid: str
    rows: UserRows
    errors: tuple[RowError, ...]


class NamespaceCatalog(NamedTuple):
    """The catalog of one namespace, and what is wrong in the rows that were meant for it."""

    catalog: Catalog
    errors: tuple[RowError, ...]


class UserCatalog:
    """Catalogs by namespace, kept up to date.

    Args:
        client: an open client.
        namespace: the operator's own, whose rows hold everywhere.
        on_change: called when rows changed.
        on_errors: called with key, uid and errors of a ConfigMap whose rows are wrong.
        on_restart: called with the resource's name whenever the watch is opened again.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        on_change: Callable[[], None],
        on_errors: Callable[[ObjectKey, str, tuple[RowError, ...]], None],
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self.namespace = namespace
        self._on_change = on_change
        self._on_errors = on_errors
        self._made: dict[str, NamespaceCatalog] = {}
        self.watch: Watch[CatalogMap] = Watch(
            client,
            resources.CONFIG_MAPS,
            _read,
            self._changed,
            selectors=SELECTOR,
            on_restart=on_restart,
        )

    async def run(self) -> None:
        """Keep the rows until cancelled."""
        await self.watch.run()

    def for_namespace(self, namespace: str) -> Catalog:
        """The catalog for deployments of a namespace."""
        return self._catalog(namespace).catalog

    def errors_for(self, namespace: str) -> tuple[str, ...]:
        """What is wrong in the rows meant for a namespace, sorted."""
        return tuple(sorted(str(error) for error in self._catalog(namespace).errors))

    def _catalog(self, namespace: str) -> NamespaceCatalog:
        maps = [
            found
            for key, found in sorted(self.watch.store.items())
            if key[0] in (self.namespace, namespace)
        ]
        made = self._made.get(namespace if maps else "")
        if made is None:
            rows = tuple(row for found in maps for row in found.rows)
            catalog, conflicts = Catalog.load().with_user_rows(rows)
            errors = tuple(error for found in maps for error in found.errors) + conflicts
            made = NamespaceCatalog(catalog if rows else Catalog.load(), errors)
            self._made[namespace if maps else ""] = made
        return made

    def _changed(self, key: ObjectKey, _: CatalogMap | None, new: CatalogMap | None) -> None:
        self._made.clear()
        if new is not None and new.errors:
            for error in new.errors:
                _log.warning("%s: %s", key[0], error)
            self._on_errors(key, new.uid, new.errors)
        self._on_change()


def _read(item: Json) -> CatalogMap:
    metadata = item["metadata"]
    place = f"{metadata['namespace']}/{metadata['name']}"
    rows, errors = read_user_rows(place, item.get("data") or {})
    return CatalogMap(metadata["uid"], rows, errors)
