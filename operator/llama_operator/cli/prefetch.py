"""`llama-operator prefetch`: what an engine reads of a model, to a volume."""

import argparse
import asyncio
import logging
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.cli.exit_status import EXIT_DOES_NOT_FIT
from llama_operator.errors import (
    ChecksumError,
    HubError,
    HubUnreachableError,
    InputError,
    LlamaOperatorError,
    NotCachedError,
    VolumeTooSmallError,
)
from llama_operator.units import quantity_bytes

if TYPE_CHECKING:
    from llama_operator.download.prefetch import Prefetched, Wanted
    from llama_operator.download.progress import Report
    from llama_operator.download.progress_server import ProgressBoard

EXIT_TERMINATED: Final = 128 + signal.SIGTERM
_RETRY_MAY_HELP: Final = (HubUnreachableError, ChecksumError, NotCachedError)
_DESCRIPTION: Final = """Fetch what an engine reads of a model to a volume, checked and whole.

Configuration, tokenizer, chat template and one copy of the weights; with --file the GGUF files
alone. DIR gets the layout of Hugging Face's cache: give it to engines as HF_HOME, or the folder
that is printed as the model. What is there is not fetched again, what broke off is taken up where
it ended, and readers see a model only when every checksum is right. The token is that of HF_TOKEN
or `hf auth login`; for ModelScope MODELSCOPE_API_TOKEN."""
_EPILOG: Final = """Exit status: 0 the model is whole; 3 there is no room for it; 2 bad input, or
the hub refuses; 1 another try may help.

Examples:
  llama-operator prefetch meta-llama/Llama-3.1-8B-Instruct --into /models
  llama-operator prefetch bartowski/Meta-Llama-3.1-8B-Instruct-GGUF --into /models \\
    --file Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf
  llama-operator prefetch meta-llama/Llama-3.1-8B-Instruct --into /models --offline --verify"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "prefetch",
        help="fetch a model to a volume, for engines that work offline",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("repository", metavar="REPOSITORY", help="e.g. Qwen/Qwen3-8B")
    parser.add_argument(
        "--into",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder on the volume: HF_HOME of the engines",
    )
    parser.add_argument(
        "--hub",
        choices=("HuggingFace", "ModelScope"),
        default="HuggingFace",
        help="where the repository is (default: HuggingFace)",
    )
    parser.add_argument(
        "--revision",
        metavar="NAME",
        help="branch, tag or commit (default: main; master on ModelScope)",
    )
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="PATH",
        help="a GGUF file instead; all parts of a split one; repeatable",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        type=_adapter,
        metavar="REPOSITORY[:PATH]",
        help="a LoRA adapter as well, of PEFT or mlx-lm, or a GGUF file; DIR/adapters/OWNER--NAME "
        "is a link to it; repeatable",
    )
    parser.add_argument(
        "--draft",
        metavar="REPOSITORY",
        help="a draft model of the same hub as well, fetched before the model",
    )
    parser.add_argument(
        "--draft-file",
        action="append",
        default=[],
        metavar="PATH",
        help="a GGUF file of the draft instead, as --file; repeatable",
    )
    parser.add_argument(
        "--max-bytes",
        type=_size,
        metavar="N",
        help="fetch nothing of a repository whose files have more bytes, e.g. 200Gi",
    )
    parser.add_argument(
        "--offline", action="store_true", help="only check, and tell what is missing"
    )
    parser.add_argument(
        "--verify", action="store_true", help="check the content of what is there, too"
    )
    parser.add_argument(
        "--if-missing",
        action="store_true",
        help="ask the hub for nothing where a whole model of the revision is there",
    )
    parser.add_argument(
        "--json-termination",
        type=Path,
        metavar="FILE",
        help="write facts, or the error, as at most 4096 bytes of JSON, e.g. /dev/termination-log",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="form of the progress on standard error, every 10 seconds (default: text)",
    )
    parser.add_argument(
        "--progress-port",
        type=_port,
        metavar="N",
        help="answer GET /progress on this port with JSON; 0 takes a free one (default: none)",
    )
    parser.add_argument(
        "--progress-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of that port (default: 127.0.0.1)",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        InputError: an argument is wrong, or the hub refuses; another try cannot help.
        LlamaOperatorError: another try may help.
    """
    # Imported here: no other command waits for a hub's client.
    from llama_operator.download.hub import default_revision, find_token
    from llama_operator.download.prefetch import Wanted
    from llama_operator.download.prefetch_record import error_record, success_record
    from llama_operator.download.progress_server import ProgressBoard, serve_progress

    _set_up_logs(arguments.log_format)
    wanted = Wanted(
        repository=arguments.repository,
        volume=arguments.into.absolute(),
        hub=arguments.hub,
        revision=arguments.revision,
        gguf_paths=tuple(arguments.file),
        max_bytes=arguments.max_bytes,
        token=find_token(arguments.hub),
        offline=arguments.offline,
        verify=arguments.verify,
        if_missing=arguments.if_missing,
    )
    order, board = _in_order(arguments, wanted), ProgressBoard()
    try:
        with serve_progress(board, arguments.progress_address, arguments.progress_port):
            done = asyncio.run(_until_told_to_end(order, board))
    except LlamaOperatorError as error:
        _write_termination(arguments.json_termination, error_record(error))
        if isinstance(error, VolumeTooSmallError):
            print(f"llama-operator: {error}", file=sys.stderr)
            return EXIT_DOES_NOT_FIT
        if isinstance(error, HubError) and not isinstance(error, _RETRY_MAY_HELP):
            raise InputError(str(error)) from error
        raise
    if done is None:
        print(
            "llama-operator: told to end; what was fetched is kept and taken up again",
            file=sys.stderr,
        )
        return EXIT_TERMINATED
    revision = arguments.revision or default_revision(arguments.hub)
    _write_termination(arguments.json_termination, success_record(done[-1], revision))
    _log_whole(arguments.repository, done[-1])
    print(done[-1].path)
    for one, result in zip(order, done, strict=True):
        if one.adapter:
            print(result.path)
    return 0


def _in_order(arguments: argparse.Namespace, model: "Wanted") -> tuple["Wanted", ...]:
    """Adapters and draft first: what the hub refuses should not wait for a large download.

    Raises:
        InputError: a file of a draft, and no draft.
    """
    beside = [
        replace(model, repository=repository, revision=None, gguf_paths=paths, adapter=True)
        for repository, paths in arguments.adapter
    ]
    if arguments.draft is not None:
        paths = tuple(arguments.draft_file)
        beside.append(replace(model, repository=arguments.draft, revision=None, gguf_paths=paths))
    elif arguments.draft_file:
        msg = "--draft-file needs --draft beside it"
        raise InputError(msg)
    return (*beside, model)


async def _until_told_to_end(
    wanted: "tuple[Wanted, ...]", board: "ProgressBoard"
) -> "list[Prefetched] | None":
    """The prefetches; None when SIGTERM ended one, which a container's first process ignores."""
    from llama_operator.download.prefetch import Boundary, prefetch

    edge = Boundary(tell=_tell, begun=board.show)

    async def each() -> "list[Prefetched]":
        done = []
        for one in wanted[:-1]:
            done.append(await prefetch(one, edge))
            _log_whole(one.repository, done[-1])
        return [*done, await prefetch(wanted[-1], edge)]

    work = asyncio.ensure_future(each())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        return None


def _log_whole(repository: str, result: "Prefetched") -> None:
    logging.getLogger(__name__).info(
        "%s at %s is whole: %d files, %s bytes, %s of them fetched",
        repository,
        result.facts.commit,
        len(result.files),
        f"{result.total_bytes:,}",
        f"{result.fetched_bytes:,}",
    )


def _tell(report: "Report") -> None:
    logging.getLogger(__name__).info("%s", report, extra={"figures": asdict(report)})


def _set_up_logs(form: str) -> None:
    from llama_operator.controller.logs import JsonFormatter

    class Figures(JsonFormatter):
        """Adds the figures of a report to its line."""

        def fields(self, record: logging.LogRecord) -> dict[str, object]:
            return {**super().fields(record), **getattr(record, "figures", {})}

    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("llama-operator: %(message)s")
    handler.setFormatter(Figures() if form == "json" else text)
    root = logging.getLogger("llama_operator")
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def _write_termination(path: Path | None, record: dict[str, object] | dict[str, str]) -> None:
    from llama_operator.download.prefetch_record import termination_text

    if path is None:
        return
    try:
        path.write_bytes(termination_text(record))
    except OSError as error:
        print(
            f"llama-operator: --json-termination {path}: {error.strerror}",
            file=sys.stderr,
        )


def _adapter(text: str) -> tuple[str, tuple[str, ...]]:
    repository, _, path = text.partition(":")
    return repository, (path,) if path else ()


def _size(text: str) -> int:
    try:
        size = quantity_bytes(text)
    except ValueError:
        size = quantity_bytes("0")
    if size <= 0:
        msg = f"{text!r:.40} is no size above 0 such as 200Gi"
        raise argparse.ArgumentTypeError(msg)
    return size


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        msg = f"{text!r:.40} is no port: 0 to 65535 is allowed"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
