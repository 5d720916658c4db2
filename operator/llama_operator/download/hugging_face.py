"""Hugging Face: its API for models, which mirrors speak too.

`GET /api/models/{repository}/revision/{revision}?blobs=true` gives commit, files and gate;
`GET /{repository}/resolve/{commit}/{path}` gives a file, large ones by a redirect to storage.
A refusal says its reason in `X-Error-Code` (huggingface_hub 2.4, `utils/_http.py`).
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
)
from huggingface_hub.errors import RepositoryNotFoundError as HfRepositoryNotFoundError
from huggingface_hub.errors import RevisionNotFoundError as HfRevisionNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, re-exported without "as"
    hf_raise_for_status,
)

from llama_operator.download.facts import HubName
from llama_operator.download.http import Answer, Session
from llama_operator.download.json_text import read_object
from llama_operator.download.snapshot import (
    LISTING_LIMIT_BYTES,
    Snapshot,
    commit_of,
    hub_file,
    other_refusal,
)
from llama_operator.errors import (
    FileNotFoundInRepositoryError,
    GatedRepositoryError,
    HubAccessError,
    HubContentError,
    HubError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

DEFAULT_ENDPOINT: Final = constants.ENDPOINT
"""`HF_ENDPOINT`, or https://huggingface.co."""
_ERROR_CODE: Final = "X-Error-Code"
_ERROR_MESSAGE: Final = "X-Error-Message"
_ACCESS: Final = (401, 403)


class HuggingFace:
    """One repository on Hugging Face or a mirror of it.

    Args:
        session: to the endpoint.
        repository: its name.
    """

    name: HubName = "HuggingFace"
    default_revision = constants.DEFAULT_REVISION

    def __init__(self, session: Session, repository: str) -> None:
        self._session = session
        self._repository = repository

    async def snapshot(self, revision: str) -> Snapshot:
        """The repository at the commit that a revision means now."""
        what = f"the description of {self._repository}"
        url = (
            f"{self._session.endpoint}/api/models/{self._repository}"
            f"/revision/{quote(revision, safe='')}?blobs=true"
        )
        answer = await self._session.get(url, what, LISTING_LIMIT_BYTES)
        if answer.refused:
            raise self.refusal(answer, f"revision {revision}")
        return read_description(read_object(answer.body, what), what)

    def file_url(self, commit: str, path: str) -> str:
        """Address of a file at a commit."""
        return hf_hub_url(self._repository, path, revision=commit, endpoint=self._session.endpoint)

    def refusal(self, answer: Answer, what: str) -> HubError:
        """Why the hub did not give something, and what to do."""
        response = answer.response
        status = response.status_code
        named = {
            header: response.headers[header]
            for header in (_ERROR_CODE, _ERROR_MESSAGE)
            if header in response.headers
        }
        page = f"{self._session.endpoint}/{self._repository}"
        try:
            hf_raise_for_status(httpx2.Response(status, headers=named, request=response.request))
        except GatedRepoError:
            return GatedRepositoryError(self._gated(page))
        except DisabledRepoError:
            return HubError(
                f"{page} was disabled by its owner or the hub: choose another repository"
            )
        except HfRevisionNotFoundError:
            msg = f"{self._repository} has no {what}; its branches and commits are at {page}/tree"
            return RevisionNotFoundError(msg)
        except RemoteEntryNotFoundError:
            return FileNotFoundInRepositoryError(f"{self._repository} has no file {what}")
        except HfRepositoryNotFoundError:
            if _ERROR_CODE in named:
                return RepositoryNotFoundError(self._missing())
        except HfHubHTTPError:
            pass
        if status in _ACCESS:
            return HubAccessError(self._denied(status, page))
        return other_refusal(status, response.headers, what, self._session.endpoint)

    def _gated(self, page: str) -> str:
        if self._session.token_given:
            return (
                f"{self._repository} is gated and the token's account has no access yet: accept "
                f"its conditions at {page} and wait for the grant, or use a token that may read "
                "gated repositories"
            )
        return (
            f"{self._repository} is gated: accept its conditions at {page} and give a token of "
            "that account in HF_TOKEN"
        )

    def _missing(self) -> str:
        if self._session.token_given:
            return (
                f"there is no repository {self._repository} at {self._session.endpoint}, or it is "
                "private and the token may not read it: check the name, and what the token may read"
            )
        return (
            f"there is no repository {self._repository} at {self._session.endpoint}, or it is "
            "private: check the name, and give a token in HF_TOKEN if it is private"
        )

    def _denied(self, status: int, page: str) -> str:
        if not self._session.token_given:
            return (
                f"{page} is not given without a token ({status}): check the name, and give a "
                "token in HF_TOKEN if it is private"
            )
        return (
            f"the token is refused for {page} ({status}): it may have expired, or may not read "
            "this repository"
        )


def read_description(description: Mapping[str, Any], what: str) -> Snapshot:
    """The answer of the API as a snapshot.

    Raises:
        HubContentError: commit or files are missing.
    """
    siblings = description.get("siblings")
    if not isinstance(siblings, list) or not all(isinstance(file, dict) for file in siblings):
        msg = f"{what} lists no files"
        raise HubContentError(msg)
    gated, private = description.get("gated"), description.get("private")
    files = [
        hub_file(file.get("rfilename"), file.get("size"), _digest(file), what) for file in siblings
    ]
    return Snapshot(
        commit=commit_of(description.get("sha"), what),
        gated=None if gated is None else bool(gated),
        private=private if isinstance(private, bool) else None,
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def _digest(file: Mapping[str, Any]) -> object:
    """SHA-256 of what git keeps elsewhere (LFS), else git's own of the blob."""
    elsewhere = file.get("lfs")
    return elsewhere.get("sha256") if isinstance(elsewhere, dict) else file.get("blobId")
