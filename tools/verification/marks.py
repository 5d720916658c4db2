"""Hook of pytest: what the marks `fault` and `soak` of the tests mean."""

import pytest

from verification.report import FAULT_PROPERTY, SOAK_PROPERTY


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note both marks as properties of their tests, and leave out what runs with `--soak` only.

    `@pytest.mark.fault(6)` says which fault a test proves. `@pytest.mark.soak` says that a test
    runs short without `--soak`, and `@pytest.mark.soak(only=True)` that it does not run at all.
    """
    if not config.getoption("--soak", default=False):
        left_out = [
            item
            for item in items
            if any(mark.kwargs.get("only") for mark in item.iter_markers("soak"))
        ]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    for item in items:
        numbers = {int(number) for mark in item.iter_markers("fault") for number in mark.args}
        item.user_properties += [(FAULT_PROPERTY, number) for number in sorted(numbers)]
        if item.get_closest_marker("soak"):
            item.user_properties.append((SOAK_PROPERTY, True))
