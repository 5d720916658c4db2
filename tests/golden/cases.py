"""The golden cases: a deployment, a plan and the objects that they must become."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import revision_name
from llama_operator.api.plan import Plan
from llama_operator.render.objects import (
    RENDER_VERSION,
    controller_revision,
    pod_template,
    render,
)

FOLDER: Final = Path(__file__).parent
DIGEST: Final = "0123456789abcdef"
"""Stands for the hash of what a revision records, which rendering takes as it is given."""


@dataclass(frozen=True)
class Case:
    """One golden case."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def deployment(self) -> LlamaDeployment:
        return LlamaDeployment.parse(load(self.folder / "input.yaml"))

    def plan(self) -> Plan:
        return Plan.model_validate(load(self.folder / "plan.yaml"), extra="forbid")

    def render(self) -> dict[str, dict[str, Any]]:
        """The objects as rendered today, by file name without suffix."""
        deployment, plan = self.deployment(), self.plan()
        revision = revision_name(deployment.metadata.name, DIGEST)
        rendered = render(plan, deployment, replicas=deployment.spec.replicas, revision=revision)
        objects = {
            rendered.workload["kind"].lower(): rendered.workload,
            "service": rendered.service,
            "headless-service": rendered.headless_service,
            "controllerrevision": controller_revision(
                deployment,
                name=revision,
                revision=1,
                data={
                    "renderVersion": RENDER_VERSION,
                    "plan": plan.to_object(),
                    "template": pod_template(plan, deployment),
                },
            ),
        }
        if rendered.pod_disruption_budget is not None:
            objects["pdb"] = rendered.pod_disruption_budget
        if rendered.claim is not None and rendered.fetch_job is not None:
            objects["claim"] = rendered.claim
            objects["fetch-job"] = rendered.fetch_job
        return objects

    def expected(self) -> dict[str, dict[str, Any]]:
        """The objects as recorded, by file name without suffix."""
        return {path.stem: load(path) for path in sorted(self.expected_folder.glob("*.yaml"))}

    @property
    def expected_folder(self) -> Path:
        return self.folder / "expected"


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one object."""
    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    assert isinstance(loaded, dict), path
    return loaded


def dump(manifest: dict[str, Any]) -> str:
    """An object as YAML, in the order of the template."""
    text = yaml.dump(
        manifest, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=100
    )
    assert isinstance(text, str)
    return text


CASES: Final = tuple(Case(path.parent) for path in sorted(FOLDER.glob("*/input.yaml")))
