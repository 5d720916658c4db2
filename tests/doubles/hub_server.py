"""Hugging Face, ModelScope and their storage on two ports of this machine."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
POINTER_BYTES = 134
"""Of the file that git keeps in the place of a large one."""
HASHED_BYTES = 64 << 20
LARGE = (".safetensors", ".gguf")
"""Files of these endings lie in the storage: the hub redirects there."""


@dataclass(frozen=True)
class Blob:
    """A file: its first bytes, and zeros up to its size."""

    start: bytes
    size: int

    def digest(self, *, lfs: bool = True) -> str:
        """SHA-256, or SHA-1 as git has it; made up for what is too large to be read in a test."""
        content = self.part(0, self.size) if self.size <= HASHED_BYTES else repr(self).encode()
        if lfs:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % self.size + content).hexdigest()

    def pointer(self) -> dict[str, Any]:
        """What the hub tells of a large file."""
        return {"sha256": self.digest(), "size": self.size, "pointerSize": POINTER_BYTES}

    def part(self, first: int, end: int) -> bytes:
        return self.start[first:end].ljust(max(0, min(end, self.size) - first), b"\0")


@dataclass
class Repository:
    """One repository; `token` is what reads it, None for everybody."""

    files: dict[str, Blob] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, "master": COMMIT})
    gated: str | bool = False
    private: bool = False
    token: str | None = None
    told_sizes: bool = True

    def add(self, path: str, content: bytes | Blob | Mapping[str, Any]) -> None:
        if isinstance(content, Mapping):
            content = json.dumps(content).encode()
        self.files[path] = content if isinstance(content, Blob) else Blob(content, len(content))


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    port: int
    path: str
    headers: Mapping[str, str]


class Handler(BaseHTTPRequestHandler):
    """Answers on both ports; `double` is set by the server that makes it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    double: "HubServer"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        self.double.asked.append(Asked(port, self.path, dict(self.headers.items())))
        url = urlsplit(self.path)
        path, query = unquote(url.path), {key: one[0] for key, one in parse_qs(url.query).items()}
        for pattern, play in self.double.plays.items():
            if re.search(pattern, self.path):
                play(self)
                return
        if path.startswith("/stored/"):
            self.give(self.double.stored[path.removeprefix("/stored/")])
        elif path.startswith("/api/v1/models/"):
            self._model_scope(path.removeprefix("/api/v1/models/"), query)
        elif path.startswith("/api/models/"):
            self._hugging_face(path.removeprefix("/api/models/"))
        else:
            name, _, rest = path.strip("/").partition("/resolve/")
            commit, _, file = rest.partition("/")
            self._resolve(name, commit, file)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def write(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.double.sent += len(body)

    def write_json(self, status: int, value: object, **headers: str) -> None:
        self.write(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def give(self, blob: Blob, **headers: str) -> None:
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if span is None or self.double.ignores_ranges:
            self.write(200, blob.part(0, blob.size), **headers)
            return
        first, end = int(span[1]), min(int(span[2]) + 1, blob.size)
        if first >= blob.size:
            self.write(416, b"", Content_Range=f"bytes */{blob.size}")
            return
        told = f"bytes {first}-{end - 1}/{blob.size}"
        self.write(206, blob.part(first, end), Content_Range=told, **headers)

    def _hugging_face(self, path: str) -> None:
        """What is asked below `/api/models/`: a description, branches or files."""
        name, kind, revision = re.fullmatch(
            r"(.+?)(?:/(refs|tree|revision)(?:/(.+))?)?", path
        ).groups("")  # type: ignore[union-attr]  # it matches every path
        repository = self.double.repositories.get(name)
        if repository is None or (repository.private and not self._may_read(repository)):
            status = 404 if "Authorization" in self.headers else 401
            told = "Invalid username or password."
            self.write_json(status, {"error": told}, X_Error_Code="RepoNotFound")
        elif kind == "refs":
            commits = repository.commits.items()
            branches = [{"name": name, "targetCommit": commit} for name, commit in commits]
            self.write_json(200, {"branches": branches, "tags": [], "converts": []})
        elif kind == "tree":
            self.write_json(200, [
                {"type": "file", "path": name, "size": blob.size, "oid": blob.digest()}
                for name, blob in repository.files.items()
            ])  # fmt: skip
        else:
            self._description(name, repository, revision)

    def _may_read(self, repository: Repository) -> bool:
        given = self.headers.get("Authorization")
        return repository.token is None or given == f"Bearer {repository.token}"

    def _description(self, name: str, repository: Repository, revision: str) -> None:
        commit = repository.commits.get(revision, revision)
        if commit not in repository.commits.values():
            told = f"Invalid rev id: {revision}"
            self.write_json(404, {"error": told}, X_Error_Code="RevisionNotFound")
            return
        files = [
            {
                "rfilename": path,
                **({"size": blob.size} if repository.told_sizes else {}),
                "blobId": blob.digest(lfs=False),
                **({"lfs": blob.pointer()} if path.endswith(LARGE) else {}),
            }
            for path, blob in repository.files.items()
        ]
        self.write_json(200, {
            "id": name, "sha": commit, "gated": repository.gated, "private": repository.private,
            "siblings": files,
        })  # fmt: skip

    def _resolve(self, name: str, commit: str, path: str) -> None:
        repository = self.double.repositories.get(name)
        if repository is None:
            self.write_json(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        if repository.gated and not self._may_read(repository):
            status = 403 if "Authorization" in self.headers else 401
            told = f"Access to model {name} is restricted."
            self.write_json(status, {"error": told}, X_Error_Code="GatedRepo")
            return
        if path not in repository.files:
            self.write_json(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
            return
        self._file(repository.files[path], path, X_Repo_Commit=commit)

    def _file(self, blob: Blob, path: str, **headers: str) -> None:
        etag = f'"{blob.digest()}"'
        if not path.endswith(LARGE):
            self.give(blob, ETag=etag, **headers)
            return
        place = self.double.store(blob)
        told = {"X_Linked_Size": str(blob.size), "X_Linked_Etag": etag}
        self.write(302, b"", Location=place, **told, **headers)

    def _model_scope(self, path: str, query: Mapping[str, str]) -> None:
        owner, name, *rest = path.split("/")
        repository = self.double.repositories.get(f"{owner}/{name}")
        if repository is None:
            self._envelope(404, 10010205001, None, "record not found")
            return
        if not self._may_read(repository):
            self._envelope(404, 10010200001, None, "no access")
            return
        revision = query.get("Ref") or query.get("Revision", "")
        commit = repository.commits.get(revision, revision)
        known = commit in repository.commits.values()
        if rest == ["commits"]:
            self._envelope(200, 200, {"Commit": [{"Id": commit}] if known else None})
        elif not known:
            self._envelope(200, 200, {"Files": None})
        elif rest == ["repo", "files"]:
            self._envelope(200, 200, {"Files": _entries(repository)})
        elif query["FilePath"] not in repository.files:
            self._envelope(404, 10010205404, None, "file not found")
        else:
            self._file(repository.files[query["FilePath"]], query["FilePath"])

    def _envelope(self, status: int, code: int, data: object, message: str = "success") -> None:
        envelope = {"Code": code, "Data": data, "Message": message, "Success": code == 200}
        self.write_json(status, {"RequestId": "0", **envelope})


def _entries(repository: Repository) -> list[dict[str, Any]]:
    folders = sorted({path.rpartition("/")[0] for path in repository.files} - {""})
    trees = [{"Path": path, "Name": path, "Type": "tree", "Size": 0} for path in folders]
    return trees + [
        {"Path": path, "Name": path.rpartition("/")[2], "Type": "blob", "Size": blob.size,
         "IsLFS": path.endswith(LARGE), "Revision": COMMIT, "Sha256": blob.digest()}
        for path, blob in repository.files.items()
    ]  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what the tests want."""


class HubServer:
    """A hub and its storage.

    Attributes:
        repositories: by name.
        plays: what answers a path instead, by a pattern; gets the handler.
        asked: every request.
        sent: bytes of all bodies so far.
        ignores_ranges: whether a part is answered with the whole file.
        over: set when the server ends; what plays slowly waits on it.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.plays: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self.ignores_ranges = False
        self.over = threading.Event()
        self.stored: dict[str, Blob] = {}
        handler = type("BoundHandler", (Handler,), {"double": self})
        self._servers = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
        self.port, self.storage_port = (server.server_address[1] for server in self._servers)

    @property
    def url(self) -> str:
        """The hub's endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def store(self, blob: Blob) -> str:
        """Where the storage gives a file."""
        self.stored[blob.digest()] = blob
        return f"http://127.0.0.1:{self.storage_port}/stored/{quote(blob.digest())}"

    @contextmanager
    def serve(self) -> Iterator["HubServer"]:
        """Answer until the end of the block."""
        threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            for server in self._servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.over.set()
            for server in self._servers:
                server.shutdown()
                server.server_close()
            for thread in threads:
                thread.join()
