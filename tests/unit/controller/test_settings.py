import dataclasses
from typing import Any

import kopf
import pytest

from llama_operator.controller.settings import Settings, kopf_settings

CHOSEN: dict[tuple[str, str], Any] = {
    ("watching", "chunk_size"): 500,
    ("watching", "server_timeout"): 300,
    ("watching", "client_timeout"): 330,
    ("watching", "connect_timeout"): 10,
    ("watching", "inactivity_timeout"): 70,
    ("networking", "connect_timeout"): 10,
    ("networking", "request_timeout"): 30,
    ("networking", "enforce_retry_after"): True,
    ("posting", "enabled"): False,
    ("posting", "loggers"): False,
    ("peering", "standalone"): True,
    ("scanning", "disabled"): True,
    ("process", "ultimate_exiting_timeout"): 20.0,
}
"""All that the operator sets, by group and field."""


def groups(settings: kopf.OperatorSettings) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


@pytest.mark.parametrize(
    ("group", "field"), CHOSEN, ids=[f"{group}.{field}" for group, field in CHOSEN]
)
def test_a_setting_exists_in_kopf_and_has_the_chosen_value(group: str, field: str) -> None:
    known = {
        entry.name for entry in dataclasses.fields(type(groups(kopf.OperatorSettings())[group]))
    }
    assert field in known
    assert getattr(groups(kopf_settings(Settings()))[group], field) == CHOSEN[group, field]


def test_nothing_else_differs_from_kopfs_defaults() -> None:
    ours, defaults = groups(kopf_settings(Settings())), groups(kopf.OperatorSettings())
    differing = {
        (group, field.name)
        for group, values in ours.items()
        for field in dataclasses.fields(values)
        if not field.name.startswith(("_", "executor"))
        and plain(getattr(values, field.name)) != plain(getattr(defaults[group], field.name))
    }
    assert differing <= CHOSEN.keys()


def test_no_attribute_is_set_that_kopf_does_not_know() -> None:
    """kopf's settings take any attribute: a misspelt one would do nothing, silently."""
    settings = kopf_settings(Settings())
    for name, group in {"settings": settings, **groups(settings)}.items():
        known = {field.name for field in dataclasses.fields(group)}
        assert vars(group).keys() <= known, name


def test_a_misspelt_setting_would_be_found() -> None:
    settings = kopf_settings(Settings())
    settings.watching.chunk_sise = 500  # type: ignore[attr-defined]
    known = {field.name for field in dataclasses.fields(settings.watching)}
    assert vars(settings.watching).keys() - known == {"chunk_sise"}


def test_the_grace_period_of_the_process_is_the_longest_that_kopf_may_take_to_end() -> None:
    assert kopf_settings(Settings(grace_seconds=7.5)).process.ultimate_exiting_timeout == 7.5


def test_kopf_closes_a_silent_watch_later_than_the_bookmarks_come() -> None:
    """A bookmark comes every 60 s; a shorter limit would open healthy watches again and again."""
    watching = kopf_settings(Settings()).watching
    assert watching.inactivity_timeout is not None
    assert watching.server_timeout is not None
    assert watching.client_timeout is not None
    assert 60 < watching.inactivity_timeout < watching.server_timeout < watching.client_timeout


def plain(value: Any) -> Any:
    """Numbers, texts and flags as they are; storages and executors by their class."""
    return value if isinstance(value, int | float | str | tuple | None) else type(value)
