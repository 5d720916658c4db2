"""Manifests and patches in the pages are ones that the operator would accept."""

import json
import re
from typing import Any

import pytest
import yaml

from llama_operator.api.v1alpha1 import KIND
from llama_operator.cli.deployment_file import parse_deployments
from unit.docs.pages import NAMES, ROOT, Block, blocks_of, text_of, transcripts

DESIGNS = "docs/decisions/"
"""Pages there show fields that are not built yet."""
BLOCKS = [
    block for page in NAMES if not page.startswith(DESIGNS) for block in blocks_of(page, "yaml")
]
PATCH = re.compile(r"-p '(\{.*?\})'(?:\s|$|`)")


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_block_is_yaml_and_its_deployments_have_no_unknown_field(block: Block) -> None:
    held = documents(block.text)
    assert held
    if any(isinstance(document, dict) and document.get("kind") == KIND for document in held):
        assert parse_deployments(block.where, block.text).deployments


def test_deployments_are_looked_at() -> None:
    assert len([block for block in BLOCKS if f"kind: {KIND}" in block.text]) >= 6


def test_standard_input_of_a_command_that_succeeds_is_a_deployment() -> None:
    for page in NAMES:
        for block in blocks_of(page, "console"):
            for shown in transcripts(block):
                deployment = shown.stdin and " size " not in shown.command
                if deployment and "unknown field" not in shown.output:
                    assert parse_deployments(shown.where, shown.stdin).deployments


@pytest.mark.parametrize("page", NAMES)
def test_every_patch_is_one_of_a_valid_spec(page: str) -> None:
    for text in PATCH.findall(text_of(page)):
        spec = {"size": "70b", **json.loads(text)["spec"]}
        manifest = {
            "apiVersion": "llama-operator.io/v1alpha1",
            "kind": KIND,
            "metadata": {"name": "patched"},
            "spec": spec,
        }
        assert parse_deployments(page, json.dumps(manifest)).deployments


def test_the_manifest_of_the_readme_is_the_sample() -> None:
    first = blocks_of("README.md", "yaml")[0]
    path = first.text.splitlines()[0].removeprefix("# ")
    assert documents(first.text) == documents((ROOT / path).read_text(encoding="utf-8"))
