"""Facts on disk, by hub, repository and commit.

`<folder>/<hub>/at-<endpoint>/<repository>/<commit>.json` holds facts, which never change;
`revisions/<revision>` beside it holds the commit that a branch or tag meant when it was last asked
for. A file is written whole under another name and then moved, so that a reader sees all or
nothing; one that cannot be read counts as absent.
"""

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import quote

from llama_operator.download.facts import HubName, ModelFacts
from llama_operator.download.records import from_record, to_record
from llama_operator.download.snapshot import is_commit
from llama_operator.units import MIB

FACTS_LIMIT_BYTES: Final = 96 * MIB
_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """`llama-operator/hub` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".cache"
    return base / "llama-operator" / "hub"


class FactsCache:
    """The cached facts of one repository.

    Args:
        folder: of the whole cache.
        hub: where the repository is.
        endpoint: its address, so that a mirror's facts stay apart.
        repository: its name, checked by the caller.
    """

    def __init__(self, folder: Path, hub: HubName, endpoint: str, repository: str) -> None:
        place = quote(endpoint.partition("://")[2].strip("/"), safe="")
        self.folder = folder / hub / f"at-{place}" / quote(repository, safe="")

    def commit(self, revision: str) -> str | None:
        """The commit that a revision meant when it was last asked for online."""
        if is_commit(revision):
            return revision.lower()
        try:
            text = self._revision_file(revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return text if is_commit(text) else None

    def facts(self, commit: str, revision: str) -> ModelFacts | None:
        """The facts of a commit, None where they are absent or cannot be read."""
        path = self._facts_file(commit)
        try:
            if path.stat().st_size > FACTS_LIMIT_BYTES:
                return None
            record = json.loads(path.read_bytes())
            facts = from_record({**record, "revision": revision})
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return facts if facts.commit == commit else None

    def write(self, facts: ModelFacts) -> None:
        """Keep facts; a folder that cannot be written is told in the log only."""
        text = json.dumps(to_record(facts), separators=(",", ":"))
        self._write(self._facts_file(facts.commit), text)

    def write_revision(self, revision: str, commit: str) -> None:
        """Keep what a branch or tag means now."""
        if not is_commit(revision):
            self._write(self._revision_file(revision), commit)

    def _facts_file(self, commit: str) -> Path:
        return self.folder / f"{commit}.json"

    def _revision_file(self, revision: str) -> Path:
        return self.folder / "revisions" / quote(revision, safe="")

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            written = Path(name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                written.replace(path)
            except BaseException:
                written.unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("model facts are not cached in %s: %s", path.parent, error.strerror)
