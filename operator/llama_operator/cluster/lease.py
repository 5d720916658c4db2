"""Leadership by a Lease: one holder writes, a standby waits warm.

Every change of the Lease is conditional on its resourceVersion, so two processes never both hold
it. A holder that cannot renew in time gives up before anyone else may take over. Expiry is judged
by how long the record stayed unchanged on the local monotonic clock, never by comparing clocks.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from llama_operator.api.names import FIELD_MANAGER
from llama_operator.cluster import resources
from llama_operator.cluster.client import ApiClient, ApiError, ConflictError, Json, NotFoundError

DURATION_SECONDS: Final = 15
RENEW_SECONDS: Final = 5.0
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class LostLeaseError(Exception):
    """The lease could not be renewed in time, or another process took it."""


class _Seen(NamedTuple):
    record: tuple[str, str, int]
    at: float


class Lease:
    """One lease as one candidate sees it.

    Args:
        client: an open client.
        namespace: where the Lease lives.
        name: name of the Lease.
        identity: who this process is; unique among candidates.
        monotonic: the clock, injected for tests.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._monotonic = monotonic
        self._seen: _Seen | None = None
        self._held: Json | None = None

    async def acquire(self) -> None:
        """Wait until this process holds the lease."""
        while True:
            try:
                if await self._try_acquire():
                    _log.info("leading as %s", self._identity)
                    return
            except ApiError as error:
                _log.warning("lease not read: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)

    async def _try_acquire(self) -> bool:
        try:
            lease = await self._client.get(resources.LEASES, self._namespace, self._name)
        except NotFoundError:
            body = self._body(transitions=0)
            try:
                self._held = await self._client.create(
                    resources.LEASES, self._namespace, body, FIELD_MANAGER
                )
            except ConflictError:
                return False
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        record = (holder, str(spec.get("renewTime")), int(spec.get("leaseTransitions") or 0))
        now = self._monotonic()
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, now)
        duration = float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)
        if holder not in ("", self._identity) and now - self._seen.at < duration:
            return False
        body = self._body(transitions=record[2] + (1 if holder != self._identity else 0))
        body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
        try:
            self._held = await self._client.replace(resources.LEASES, body, FIELD_MANAGER)
        except ConflictError:
            return False
        return True

    async def hold(self) -> None:
        """Renew until cancelled.

        Raises:
            LostLeaseError: the lease is lost; the process must stop writing at once.
        """
        renewed = self._monotonic()
        pause = RENEW_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = RETRY_SECONDS
            try:
                async with asyncio.timeout(RENEW_DEADLINE_SECONDS / 2):
                    await self._renew()
                renewed, pause = self._monotonic(), RENEW_SECONDS
            except (ConflictError, NotFoundError) as error:
                raise LostLeaseError(error.message) from error
            except (ApiError, TimeoutError) as error:
                _log.warning("lease not renewed: %s", error)
                if self._monotonic() - renewed > RENEW_DEADLINE_SECONDS:
                    msg = f"not renewed for {RENEW_DEADLINE_SECONDS:.0f} s"
                    raise LostLeaseError(msg) from error

    async def _renew(self) -> None:
        assert self._held is not None
        body = self._body(transitions=int(self._held["spec"].get("leaseTransitions") or 0))
        body["spec"]["acquireTime"] = self._held["spec"].get("acquireTime")
        body["metadata"]["resourceVersion"] = self._held["metadata"]["resourceVersion"]
        self._held = await self._client.replace(resources.LEASES, body, FIELD_MANAGER)

    async def release(self) -> None:
        """Give the lease back, so that the standby need not wait. Failing to is only logged."""
        if self._held is None:
            return
        body = self._body(transitions=int(self._held["spec"].get("leaseTransitions") or 0))
        body["spec"]["holderIdentity"] = ""
        body["spec"]["leaseDurationSeconds"] = 1
        body["metadata"]["resourceVersion"] = self._held["metadata"]["resourceVersion"]
        try:
            await self._client.replace(resources.LEASES, body, FIELD_MANAGER)
        except ApiError as error:
            _log.warning("lease not released: %s", error.message)
        self._held = None

    def _body(self, transitions: int) -> Json:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
