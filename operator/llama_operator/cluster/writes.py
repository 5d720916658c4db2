"""The few writes there are: children one by one, and the status."""

import logging
import re
from collections.abc import Mapping
from typing import Final

from llama_operator.api.names import FIELD_MANAGER, LABEL_INSTANCE
from llama_operator.api.reasons import Reason
from llama_operator.api.status import LlamaDeploymentStatus
from llama_operator.api.v1alpha1 import API_VERSION, KIND
from llama_operator.cluster import resources
from llama_operator.cluster.client import (
    ApiClient,
    ConflictError,
    ForbiddenError,
    InvalidError,
    Json,
    NotFoundError,
    Resource,
)
from llama_operator.cluster.watch import Watch
from llama_operator.reconcile.actions import Action, Apply, Create, Delete, Failure, Replace
from llama_operator.reconcile.decide import with_uid
from llama_operator.reconcile.drift import holds
from llama_operator.reconcile.fetch import CLAIM_KIND
from llama_operator.reconcile.observed import Child, child_of
from llama_operator.reconcile.revision import digest
from llama_operator.reconcile.status_drift import surplus

_log = logging.getLogger(__name__)

_REFUSED: Final = re.compile(
    r'User ".*" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)
ENDING_SECONDS: Final = 30.0
"""Nothing can be created in a namespace that ends, so nothing is tried again soon."""


class Writes:
    """Writes of children and of the status.

    Args:
        client: an open client.
        watches: of children by kind; what a write returns is put into their stores.

    Attributes:
        unholdable: digest of an intent that the cluster rewrites, by the uid of the child.
    """

    def __init__(self, client: ApiClient, watches: Mapping[str, Watch[Child]]) -> None:
        self.unholdable: dict[str, str] = {}
        self._client = client
        self._watches = watches

    async def perform(self, action: Action, owner_uid: str) -> Failure | None:
        """Do one action; what the API server refuses comes back as a failure.

        Raises:
            ApiError: the API server cannot answer now, or the child is another than the one that
                was read; try the whole pass again.
        """
        verb = type(action).__name__.lower()
        _log.info("%s %s/%s: %s", verb, action.kind, action.name, action.reason)
        try:
            match action:
                case Create():
                    await self._create(action)
                case Apply():
                    await self._apply(action)
                case Delete():
                    await self._delete(action)
                case Replace():
                    await self._delete(action)
                    await self._create(action)
        except ConflictError as error:
            return await self._conflict(action, owner_uid, error)
        except NotFoundError as error:
            if not isinstance(action, Create):
                raise  # the child is gone since it was read: look again
            return Failure(action, Reason.OPERATOR_ERROR, error.message)
        except ForbiddenError as error:
            if "being terminated" in error.message:
                return Failure(
                    action,
                    Reason.WAITING_FOR_DELETION,
                    "the namespace is being deleted",
                    retry_after_seconds=ENDING_SECONDS,
                )
            if action.kind == CLAIM_KIND and isinstance(action, Apply):
                message = f"claim {action.name} cannot grow: {error.message}"
                return Failure(action, Reason.VOLUME_TOO_SMALL, message)
            return _forbidden(action, error)
        except InvalidError as error:
            return Failure(
                action,
                Reason.REJECTED_BY_API_SERVER,
                f"{action.kind} {action.name}: {error.message}",
                needs_edit=True,
            )
        return None

    async def _create(self, action: Create | Replace) -> None:
        resource = resources.BY_KIND[action.kind]
        namespace = action.body["metadata"]["namespace"]
        created = await self._client.create(resource, namespace, action.body, FIELD_MANAGER)
        self._watches[action.kind].put(created)

    async def _apply(self, action: Apply) -> None:
        resource = resources.BY_KIND[action.kind]
        namespace = action.body["metadata"]["namespace"]
        if action.leaves_out and action.child.create_entry is not None:
            await self._own_by_apply(resource, namespace, action.child)
        applied = await self._client.apply(resource, action.body, FIELD_MANAGER)
        self._watches[action.kind].put(applied)
        if not holds(action.body, applied):
            _log.warning(
                "%s/%s: the cluster rewrites what was applied; it is left as it is",
                action.kind,
                action.name,
            )
            body = {
                **action.body,
                "metadata": {k: v for k, v in action.body["metadata"].items() if k != "uid"},
            }
            self.unholdable[action.child.uid] = digest(body)

    async def _own_by_apply(self, resource: Resource, namespace: str, child: Child) -> None:
        """Turn the field ownership that our create left behind into one of server-side apply.

        Otherwise the API server would keep fields that a later apply leaves out.
        """
        entry = f"/metadata/managedFields/{child.create_entry}"
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": child.uid},
            {"op": "test", "path": f"{entry}/manager", "value": FIELD_MANAGER},
            {"op": "test", "path": f"{entry}/operation", "value": "Update"},
            {"op": "remove", "path": entry}
            if child.applied
            else {"op": "replace", "path": f"{entry}/operation", "value": "Apply"},
        ]
        await self._bound_patch(resource, namespace, child.name, operations)

    async def _delete(self, action: Delete | Replace) -> None:
        resource = resources.BY_KIND[action.kind]
        namespace = action.child.body["metadata"]["namespace"]
        await self._client.delete(resource, namespace, action.name, action.child.uid)

    async def _conflict(
        self, action: Action, owner_uid: str, error: ConflictError
    ) -> Failure | None:
        """Look at what stands in the way: ours, one of an old deployment, or another's."""
        if not isinstance(action, Create):
            raise error  # the child changed since it was read: look again
        resource = resources.BY_KIND[action.kind]
        metadata = action.body["metadata"]
        name = metadata["labels"][LABEL_INSTANCE]
        try:
            live = await self._client.get(resource, metadata["namespace"], action.name)
        except NotFoundError:
            return Failure(action, Reason.WAITING_FOR_DELETION, f"{action.name} is being deleted")
        except ForbiddenError as refusal:
            return Failure(action, Reason.FORBIDDEN, missing_right(refusal))
        child = child_of(action.kind, live, name)
        assert child is not None
        if child.owner_uid == owner_uid:
            await self._recover(action, child, live)
            raise error  # it was there and not seen: look again
        if child.owner_uid and child.owner_name == name:
            return Failure(
                action,
                Reason.WAITING_FOR_DELETION,
                f"{action.kind} {action.name} of a deleted deployment is still there",
            )
        owner = f"LlamaDeployment {child.owner_name}" if child.owner_uid else "somebody else"
        return Failure(
            action,
            Reason.NAME_CONFLICT,
            f"{action.kind} {action.name} exists and belongs to {owner}; rename this "
            "deployment or remove that object",
            needs_edit=True,
        )

    async def _recover(self, action: Create, child: Child, live: Json) -> None:
        """Take a child of ours that no watch showed; without its labels none ever would."""
        labels = live["metadata"].get("labels") or {}
        if action.body["metadata"]["labels"].items() <= labels.items():
            self._watches[action.kind].put(live)
        elif not child.deleting:
            body = with_uid(action.body, child.uid)
            await self._apply(Apply(body, child, "it lost its labels"))

    async def write_status(self, body: Json, status: LlamaDeploymentStatus) -> Json:
        """Apply the status to the object that was read, and remove what others wrote in our name.

        Raises:
            NotFoundError: the object is gone.
            ConflictError: it changed since it was read, or another object has the name now.
        """
        intended = status.to_object()
        metadata = body["metadata"]
        key, uid = (metadata["namespace"], metadata["name"]), metadata["uid"]
        bound_body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "namespace": key[0],
                "name": key[1],
                "uid": uid,
                "resourceVersion": metadata["resourceVersion"],
            },
            "status": intended,
        }
        resource = resources.LLAMA_DEPLOYMENTS
        written = await self._client.apply(
            resource, bound_body, FIELD_MANAGER, subresource="status"
        )
        excess = surplus(intended, written.get("status") or {})
        if not excess:
            return written
        _log.info("removing what somebody else wrote into the status")
        bound = [{"op": "test", "path": "/metadata/uid", "value": uid}, *excess]
        return await self._bound_patch(resource, *key, bound, subresource="status")

    async def _bound_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: list[Json],
        *,
        subresource: str = "",
    ) -> Json:
        """A JSON patch whose tests tell whether the object is still as it was read.

        Raises:
            ConflictError: it is not.
        """
        try:
            return await self._client.json_patch(
                resource, namespace, name, operations, FIELD_MANAGER, subresource=subresource
            )
        except InvalidError as error:
            raise ConflictError(409, error.status_reason, error.message) from error


def missing_right(error: ForbiddenError) -> str:
    """Verb and resource that RBAC refused, as `kubectl` names them; else what the answer says."""
    found = _REFUSED.search(error.message)
    if found is None:
        return error.message
    group = f".{found['group']}" if found["group"] else ""
    return f"the operator may not {found['verb']} {found['resource']}{group}"


def _forbidden(action: Action, error: ForbiddenError) -> Failure:
    """Tell a missing right from a quota or policy that refuses the object."""
    told = missing_right(error)
    if told == error.message:
        told = f"{action.kind} {action.name}: {told}"
    return Failure(action, Reason.FORBIDDEN, told)
