"""Links resolve, the index is whole, and pages are laid out alike."""

from pathlib import PurePosixPath

import pytest

from unit.docs.pages import NAMES, ROOT, anchors, blocks_of, links, split, text_of

COLUMNS = 140
GENERATED = ("docs/reference/",)


@pytest.mark.parametrize("page", NAMES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert target.is_relative_to(ROOT), f"{page}: {link} leads out of the project"
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), f"{page}: {link}"


def test_the_index_lists_every_page() -> None:
    listed = {PurePosixPath("docs", link).as_posix() for link in links("docs/README.md")}
    pages = {page for page in NAMES if page.startswith("docs/")} - {"docs/README.md"}
    assert pages - listed == set()


@pytest.mark.parametrize("page", NAMES)
def test_a_page_has_one_title(page: str) -> None:
    lines = split(page)[1].splitlines()
    assert len([line for line in lines if line.startswith("# ")]) == 1


@pytest.mark.parametrize("page", [name for name in NAMES if not name.startswith(GENERATED)])
def test_no_line_of_prose_is_too_wide(page: str) -> None:
    prose = split(page)[1].splitlines()
    wide = [line for line in prose if len(line) > COLUMNS and not line.startswith("|")]
    assert not wide


@pytest.mark.parametrize("page", NAMES)
def test_every_block_says_its_language(page: str) -> None:
    known = {"sh", "console", "text", "yaml", "python"}
    if page in ("docs/how-to/add-models.md", "charts/llama-operator/README.md"):
        known |= {""}
    assert {block.language for block in blocks_of(page)} <= known


@pytest.mark.parametrize("page", NAMES)
def test_no_page_is_unfinished(page: str) -> None:
    text = text_of(page)
    for word in ("TODO", "FIXME"):
        assert word not in text, f"{page}: {word}"
