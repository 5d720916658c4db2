import dataclasses
import itertools
from collections.abc import Iterable, Sized
from typing import Any

import kopf
import pytest

from llama_operator.controller.settings import Backoffs, kopf_settings

CHOSEN: dict[tuple[str, str], Any] = {
    ("watching", "chunk_size"): 100,
    ("watching", "server_timeout"): 300,
    ("watching", "client_timeout"): 330,
    ("watching", "connect_timeout"): 10,
    ("watching", "inactivity_timeout"): 70,
    ("networking", "connect_timeout"): 10,
    ("networking", "request_timeout"): 30,
    ("networking", "error_backoffs"): Backoffs,
    ("networking", "enforce_retry_after"): True,
    ("posting", "enabled"): False,
    ("posting", "loggers"): False,
    ("peering", "standalone"): True,
    ("scanning", "disabled"): True,
    ("process", "ultimate_exiting_timeout"): None,
    ("queueing", "idle_timeout"): 1.0,
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
    assert plain(getattr(groups(kopf_settings())[group], field)) == CHOSEN[group, field]


def test_nothing_else_differs_from_kopfs_defaults() -> None:
    ours, defaults = groups(kopf_settings()), groups(kopf.OperatorSettings())
    differing = {
        (group, field.name)
        for group, values in ours.items()
        for field in dataclasses.fields(values)
        if not field.name.startswith(("_", "executor"))
        and plain(getattr(values, field.name)) != plain(getattr(defaults[group], field.name))
    }
    assert differing <= {*CHOSEN, ("persistence", "diffbase_storage")}


def test_kopf_keeps_no_last_seen_state() -> None:
    storage = kopf_settings().persistence.diffbase_storage
    body = kopf.Body({"metadata": {"labels": {"a": "b"}}, "spec": {"size": "8b"}})
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=kopf.BodyEssence())
    assert (storage.build(body=body), storage.fetch(body=body), patch) == ({}, None, {})


def test_no_attribute_is_set_that_kopf_does_not_know() -> None:
    """kopf's settings take any attribute: a misspelt one would do nothing, silently."""
    settings = kopf_settings()
    for name, group in {"settings": settings, **groups(settings)}.items():
        known = {field.name for field in dataclasses.fields(group)}
        assert vars(group).keys() <= known, name


def test_a_misspelt_setting_would_be_found() -> None:
    settings = kopf_settings()
    settings.watching.chunk_sise = 500  # type: ignore[attr-defined]
    known = {field.name for field in dataclasses.fields(settings.watching)}
    assert vars(settings.watching).keys() - known == {"chunk_sise"}


def test_pauses_of_kopf_grow_are_jittered_and_never_end() -> None:
    """At the end of the pauses kopf would give up the watch of LlamaDeployments for good."""
    backoffs = kopf_settings().networking.error_backoffs
    assert isinstance(backoffs, Iterable)
    pauses = list(itertools.islice(backoffs, 1000))
    assert len(pauses) == 1000
    assert all(0.5 <= pause <= 30 for pause in pauses)
    assert pauses[0] <= 1 < 10 < min(pauses[5:])
    assert len(set(pauses)) > 900
    assert not isinstance(backoffs, Sized)


def test_kopf_closes_a_silent_watch_later_than_the_bookmarks_come() -> None:
    """A bookmark comes every 60 s; a shorter limit would open healthy watches again and again."""
    watching = kopf_settings().watching
    assert watching.inactivity_timeout is not None
    assert watching.server_timeout is not None
    assert watching.client_timeout is not None
    assert 60 < watching.inactivity_timeout < watching.server_timeout < watching.client_timeout


def plain(value: Any) -> Any:
    """Numbers, texts and flags as they are; storages and executors by their class."""
    return value if isinstance(value, int | float | str | tuple | None) else type(value)
