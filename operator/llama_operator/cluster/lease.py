"""Leadership by a Lease: one holder writes, the others stand by with warm caches.

Every change of the Lease is conditional on its resourceVersion, so two processes never both hold
it. A holder that cannot renew in time stops writing before anyone else may take over, and goes on
as soon as the Lease is its own again. Expiry is judged by how long the record stayed unchanged on
the local monotonic clock, never by comparing clocks.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from llama_operator.api.names import FIELD_MANAGER
from llama_operator.cluster import resources
from llama_operator.cluster.client import ApiClient, ApiError, ConflictError, Json, NotFoundError
from llama_operator.cluster.fence import DURATION_SECONDS, Fence

REQUEST_SECONDS: Final = 5.0
"""How long one request about the Lease may take; the client is to be made with it."""
RENEW_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
POLL_SECONDS: Final = 1.0
RETRY_CAP_SECONDS: Final = 5.0
CLEAR_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


class LostLeaseError(Exception):
    """The Lease could not be renewed in time, or another process took it."""


class _Seen(NamedTuple):
    record: tuple[str, str, str]
    at: float


class Lease:
    """One Lease as one candidate sees it.

    Args:
        client: an open client of its own, so that no other request delays a renewal.
        namespace: where the Lease lives.
        name: name of the Lease.
        identity: who this process is; unique among candidates.
        fence: opened by each renewal.
        monotonic: what expiry is judged by, injected for tests.
        now: the time of day, which the Lease shows to people.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        fence: Fence,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._fence = fence
        self._monotonic = monotonic
        self._now = now
        self._seen: _Seen | None = None
        self._expires = 0.0
        self._held: Json | None = None
        self._acquired = ""
        self._continued = False
        self._changing = asyncio.Lock()

    async def acquire(self) -> bool:
        """Wait until this process holds the Lease; tells whether nobody else had it since."""
        failures = 0
        while True:
            try:
                if await self._try_acquire():
                    _log.info("leading as %s", self._identity)
                    return self._continued
                failures = 0
            except ApiError as error:
                failures += 1
                _log.warning("lease not read: %s", error.message)
            pause = min(RETRY_CAP_SECONDS, POLL_SECONDS * 2 ** min(failures, 8))
            pause *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            await asyncio.sleep(min(pause, self._until_expiry()))

    async def _try_acquire(self) -> bool:
        started = self._monotonic()
        try:
            lease = await self._client.get(resources.LEASES, self._namespace, self._name)
        except NotFoundError:
            return await self._create(started)
        spec = lease.get("spec") or {}
        holder, since = spec.get("holderIdentity") or "", str(spec.get("acquireTime"))
        record = (holder, since, str(spec.get("renewTime")))
        now = self._monotonic()
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, now)
        duration = float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)
        mine = holder == self._identity and self._acquired in ("", since)
        self._expires = self._seen.at + duration
        if holder and not mine and now < self._expires:
            return False
        transitions = int(spec.get("leaseTransitions") or 0)
        body = self._body(transitions + (holder != self._identity))
        self._continued = mine and self._acquired == since
        if self._continued:
            body["spec"]["acquireTime"] = since
        body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
        try:
            await self._replace(body, started)
        except ConflictError:
            return False
        return True

    def _until_expiry(self) -> float:
        """Seconds until another's Lease can be taken; infinite once it could be."""
        left = self._expires - self._monotonic()
        return max(left, CLEAR_SECONDS) if left > 0 else math.inf

    async def _create(self, started: float) -> bool:
        try:
            created = await self._client.create(
                resources.LEASES, self._namespace, self._body(0), FIELD_MANAGER
            )
        except ConflictError:
            return False
        self._continued = False
        self._take(created, started)
        return True

    def is_held(self) -> bool:
        """Whether writes pass the fence now."""
        return self._fence.is_open()

    async def hold(self) -> None:
        """Renew until cancelled.

        Raises:
            LostLeaseError: the Lease is lost, and the fence closed.
        """
        pause = RENEW_SECONDS
        try:
            while True:
                await asyncio.sleep(pause)
                async with self._changing:
                    if not self._fence.is_open():
                        msg = "not renewed in time"
                        raise LostLeaseError(msg)
                    try:
                        await self._renew()
                        pause = RENEW_SECONDS
                    except (ConflictError, NotFoundError) as error:
                        raise LostLeaseError(error.message) from error
                    except ApiError as error:
                        _log.warning("lease not renewed: %s", error.message)
                        pause = RETRY_SECONDS
        finally:
            self._fence.close()

    async def _renew(self) -> None:
        assert self._held is not None
        started = self._monotonic()
        body = self._body(int(self._held["spec"].get("leaseTransitions") or 0))
        body["spec"]["acquireTime"] = self._acquired
        body["metadata"]["resourceVersion"] = self._held["metadata"]["resourceVersion"]
        await self._replace(body, started)

    async def _replace(self, body: Json, started: float) -> None:
        """Write the Lease, unless this process was stopped between reading and writing it."""
        taken = await self._client.replace(
            resources.LEASES, body, FIELD_MANAGER, send_before=started + REQUEST_SECONDS
        )
        self._take(taken, started)

    def _take(self, lease: Json, started: float) -> None:
        self._held = lease
        self._acquired = str(lease["spec"].get("acquireTime"))
        self._fence.renew(started)

    async def release(self) -> None:
        """Give the Lease back, so that the standby need not wait. Failing to is only logged.

        Writes that are not answered yet are waited for, at most until nobody stores them any more.
        """
        was_open = self._fence.is_open()
        self._fence.close()
        async with self._changing:
            if self._held is None or not was_open:
                return
            self._fence.close()
            while not self._fence.is_clear():
                await asyncio.sleep(CLEAR_SECONDS)
            body = self._body(int(self._held["spec"].get("leaseTransitions") or 0))
            body["spec"]["holderIdentity"] = ""
            body["spec"]["leaseDurationSeconds"] = 1
            body["metadata"]["resourceVersion"] = self._held["metadata"]["resourceVersion"]
            try:
                await self._client.replace(resources.LEASES, body, FIELD_MANAGER)
            except ApiError as error:
                _log.warning("lease not released: %s", error.message)
            self._held = None

    def _body(self, transitions: int) -> Json:
        now = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
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
