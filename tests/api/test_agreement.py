"""Any text in any field: the API server and reading from a file have the same verdict.

The API server matches by RE2 and counts code points in Go, reading does so in Python.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.constraints import replace_at
from api.server import Server
from api.test_hostile_values import TEXTS, full, read

PLAUSIBLE = st.text(alphabet="abzABZ0189.-_:/@= \n", max_size=70)
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


@pytest.mark.cluster
@pytest.mark.parametrize("field", TEXTS)
def test_the_verdict_on_a_text_is_the_same(server: Server, field: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(PLAUSIBLE | ANYTHING)
    def check(text: str) -> None:
        manifest = replace_at(full(field), field, text)
        answer = server.create(manifest)
        refusal = read(manifest)
        assert answer.accepted == (refusal is None), answer.message or refusal

    check()
