"""What a user has to decide."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_the_smallest_sample_decides_two_things() -> None:
    [sample] = yaml.safe_load_all(
        (ROOT / "manifests/samples/llama-70b-awq.yaml").read_text("utf-8")
    )
    assert sample["spec"] == {"size": "70b", "format": "awq"}
    assert set(sample) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(sample["metadata"]) == {"name"}
