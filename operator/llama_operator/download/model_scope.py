"""ModelScope: its own API, as its client speaks it (modelscope_hub, `_legacy_api.py`).

It is no endpoint of Hugging Face's form. `commits?Ref=` names the commit of a branch or tag,
`repo/files` lists the files of a commit, `repo?FilePath=` gives one, large ones by a redirect to
storage. All but the last answer `{"Code": 200, "Data": …, "Message": …, "Success": true}`. What may
not be read is not found: status 404, told apart by `Code`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from llama_operator.download.facts import HubFile, HubName
from llama_operator.download.http import Answer, Session
from llama_operator.download.json_text import read_object
from llama_operator.download.snapshot import (
    LISTING_LIMIT_BYTES,
    Snapshot,
    commit_of,
    hub_file,
    is_commit,
    other_refusal,
)
from llama_operator.errors import (
    FileNotFoundInRepositoryError,
    GatedRepositoryError,
    HubAccessError,
    HubContentError,
    HubError,
    HubTooLargeError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

DEFAULT_ENDPOINT: Final = "https://www.modelscope.cn"
DOMAIN_VARIABLE: Final = "MODELSCOPE_DOMAIN"
"""Names another host of ModelScope, as its client reads it."""
FILES_LIMIT: Final = 3_000
"""A listing ends there without a word."""
NO_ACCESS_CODE: Final = 10010200001
NOT_FOUND_CODE: Final = 10010205001
NO_TREE_CODE: Final = 10990101004
_OK: Final = 200
_NOT_FOUND: Final = 404
_ACCESS: Final = (401, 403)


class ModelScope:
    """One repository on ModelScope.

    Args:
        session: to the endpoint.
        repository: its name.
    """

    name: HubName = "ModelScope"
    default_revision = "master"

    def __init__(self, session: Session, repository: str) -> None:
        self._session = session
        self._repository = repository
        self._base = f"{session.endpoint}/api/v1/models/{repository}"

    async def snapshot(self, revision: str) -> Snapshot:
        """The repository at the commit that a revision means now."""
        commit = revision.lower() if is_commit(revision) else await self._commit(revision)
        files = await self._list(commit, revision, Recursive="true")
        if len(files) >= FILES_LIMIT:
            files = await self._list(commit, revision)
        if len(files) >= FILES_LIMIT:
            msg = (
                f"{self._repository} has more than the {FILES_LIMIT:,} files that ModelScope lists"
            )
            raise HubTooLargeError(msg)
        return Snapshot(commit, gated=None, private=None, files=tuple(files))

    def file_url(self, commit: str, path: str) -> str:
        """Address of a file at a commit."""
        return f"{self._base}/repo?{urlencode({'Revision': commit, 'FilePath': path})}"

    def refusal(self, answer: Answer, what: str) -> HubError:
        """Why the hub did not give something, and what to do."""
        response = answer.response
        code = _code(answer.body)
        if code == NO_TREE_CODE:
            return self._no_revision(what)
        if code == NO_ACCESS_CODE:
            return GatedRepositoryError(self._no_access())
        if code == NOT_FOUND_CODE:
            return RepositoryNotFoundError(
                f"there is no repository {self._repository} at {self._session.endpoint}: check the "
                "name; on ModelScope it can differ from the one on Hugging Face"
            )
        if response.status_code in _ACCESS:
            return HubAccessError(
                f"{self._session.endpoint} refuses the token for {self._repository}: give a valid "
                "one in MODELSCOPE_API_TOKEN"
            )
        if response.status_code == _NOT_FOUND:
            return FileNotFoundInRepositoryError(f"{self._repository} has no {what}")
        return other_refusal(response.status_code, response.headers, what, self._session.endpoint)

    async def _commit(self, revision: str) -> str:
        query = urlencode({"Ref": revision, "PageSize": 1})
        data = await self._data(f"commits?{query}", f"revision {revision}")
        commits = data.get("Commit")
        if not isinstance(commits, list) or not commits or not isinstance(commits[0], dict):
            raise self._no_revision(f"revision {revision}")
        return commit_of(commits[0].get("Id"), f"revision {revision} of {self._repository}")

    async def _list(self, commit: str, revision: str, **options: str) -> list[HubFile]:
        query = urlencode({"Revision": commit, **options})
        what = f"the file list of {self._repository}"
        data = await self._data(f"repo/files?{query}", f"revision {revision}")
        entries = data.get("Files")
        if entries is None:
            raise self._no_revision(f"revision {revision}")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            msg = f"{what} is no list"
            raise HubContentError(msg)
        files = [
            hub_file(entry.get("Path"), entry.get("Size"), entry.get("Sha256"), what)
            for entry in entries
            if entry.get("Type") != "tree"
        ]
        return sorted(files, key=lambda file: file.path)

    async def _data(self, path: str, what: str) -> Mapping[str, Any]:
        answer = await self._session.get(f"{self._base}/{path}", what, LISTING_LIMIT_BYTES)
        if answer.refused:
            raise self.refusal(answer, what)
        envelope = read_object(answer.body, f"the answer for {what} of {self._repository}")
        if envelope.get("Code") != _OK:
            raise self.refusal(answer, what)
        data = envelope.get("Data")
        return data if isinstance(data, dict) else {}

    def _no_revision(self, what: str) -> RevisionNotFoundError:
        return RevisionNotFoundError(
            f"{self._repository} has no {what} on ModelScope; its default branch is "
            f"{self.default_revision}, not main"
        )

    def _no_access(self) -> str:
        page = f"{self._session.endpoint}/models/{self._repository}"
        if self._session.token_given:
            return (
                f"{self._repository} is gated or private and the token's account may not read it: "
                f"ask for access at {page}"
            )
        return (
            f"{self._repository} is gated or private: ask for access at {page} and give a token of "
            "that account in MODELSCOPE_API_TOKEN"
        )


def _code(body: bytes) -> object:
    """The code of a refusal, None where there is none."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return envelope.get("Code") if isinstance(envelope, dict) else None
