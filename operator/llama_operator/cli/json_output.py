"""Results as JSON on standard output."""

import json


def print_json(value: object) -> None:
    """A result for programs that people can read, too."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
