"""Engine versions as numbers, for rules that changed with a version."""

import re
from functools import lru_cache

_LEADING_NUMBERS = re.compile(r"[0-9]+")


@lru_cache(maxsize=256)
def version_numbers(version: str) -> tuple[int, int]:
    """Major and minor number of a version such as `0.19.0`, `v0.33.0` or `0.10.x`."""
    numbers = [int(number) for number in _LEADING_NUMBERS.findall(version)[:2]]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else ((numbers or [0])[0], 0)
