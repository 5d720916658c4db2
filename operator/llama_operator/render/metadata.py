"""Metadata of the children of a deployment."""

from collections.abc import Mapping

from llama_operator.api import names
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.v1alpha1 import API_VERSION, KIND
from llama_operator.render.values import ChildMetadata, Owner


def child_metadata(
    deployment: LlamaDeployment, name: str, annotations: Mapping[str, str] | None = None
) -> ChildMetadata:
    """Metadata of a child: its name, our labels, and its owner once that has a UID."""
    uid = deployment.metadata.uid
    return ChildMetadata(
        name=name,
        namespace=deployment.metadata.namespace,
        labels=names.child_labels(deployment.metadata.name),
        owner=Owner(API_VERSION, KIND, deployment.metadata.name, uid) if uid else None,
        annotations=annotations or {},
    )
