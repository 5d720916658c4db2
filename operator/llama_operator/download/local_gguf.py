"""The header of a GGUF file on this machine: read as far as it goes, as one of a hub."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from llama_operator.download import gguf_files
from llama_operator.download.facts import GgufFacts, GgufHeader, HubFile
from llama_operator.download.gguf import GgufParser
from llama_operator.errors import HubContentError, InputError
from llama_operator.units import MIB

PIECE_BYTES: Final = 4 * MIB


def local_gguf(path: Path) -> GgufFacts:
    """The GGUF model of a file with its header; of a split one, all parts in the same folder.

    Raises:
        InputError: a file cannot be read.
        HubContentError: it is no GGUF file, or parts are missing.
        HubTooLargeError: it claims more than any header needs.
    """
    try:
        model = _model(path)
        gguf_files.check_parts(model)
        headers = [_header(path.parent / name) for name in model.files]
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InputError(msg) from None
    return replace(model, header=gguf_files.together(headers))


def _model(path: Path) -> GgufFacts:
    size = path.stat().st_size
    if not path.is_file():
        msg = f"{path} is no file"
        raise InputError(msg)
    beside = [
        HubFile(file.name, file.stat().st_size)
        for file in path.parent.iterdir()
        if file.suffix == path.suffix and file.name != path.name and file.is_file()
    ]
    models = gguf_files.gguf_models([HubFile(path.name, size), *beside])
    return next(model for model in models if path.name in model.files)


def _header(path: Path) -> GgufHeader:
    parser = GgufParser(path.name)
    with path.open("rb") as file:
        while not parser.done:
            piece = file.read(PIECE_BYTES)
            parser.feed(piece)
            if not parser.done and len(piece) < PIECE_BYTES:
                msg = f"{path.name} ends within its header"
                raise HubContentError(msg)
    return parser.header(path.stat().st_size)
