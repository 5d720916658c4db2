"""Versions of rendering: the one that serves, and one to rehearse an upgrade with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import ANNOTATION_RENDERING
from llama_operator.api.plan import Plan
from llama_operator.render.cache import DOWNLOADER_IMAGE
from llama_operator.render.checks import Manifest
from llama_operator.render.leader_worker_set import GroupRestart
from llama_operator.render.objects import RENDER_VERSION
from llama_operator.render.pod import pod_template


@dataclass(frozen=True, slots=True)
class Rendering:
    """How pods are rendered.

    `version` is recorded with what it rendered; another one renders pods differently. `annotations`
    are those that its pods carry. `downloader_image` downloads models to volumes. `group_restart`
    is what the LeaderWorkerSet of the cluster knows, None in a cluster without it.
    """

    version: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    downloader_image: str = DOWNLOADER_IMAGE
    group_restart: GroupRestart | None = GroupRestart.AFTER_START

    def pod_template(
        self, plan: Plan, deployment: LlamaDeployment, component: str = ""
    ) -> Manifest:
        """The pod template of a plan in this rendering; `component` as in `pod.pod_template`."""
        template = pod_template(
            plan, deployment, downloader_image=self.downloader_image, component=component
        )
        if not self.annotations:
            return template
        metadata = template.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), **self.annotations}
        return {**template, "metadata": {**metadata, "annotations": annotations}}


CURRENT: Final = Rendering(RENDER_VERSION)
REHEARSAL: Final = Rendering(1_000_000 + RENDER_VERSION, {ANNOTATION_RENDERING: "Rehearsal"})
"""Differs from what is rendered today as a later version would; no release has its number."""
RENDERINGS: Final[Mapping[str, Rendering]] = {"Current": CURRENT, "Rehearsal": REHEARSAL}
"""By the word that the command line takes."""
