"""Run by the interpreter that finds vLLM's modules: what its own parser says of lists of arguments.

Reads a JSON list of them and prints a JSON object: the names of each option, and for each list what
the parser complains of, null where it does not. torch, Triton and the libraries of images are not
installed. The parser asks them for types and decorators alone, so stand-ins take their places; the
platform, which torch would tell, is CUDA.
"""

import inspect
import json
import sys
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, Self, Union

from support.parser_refusals import parser_refusals

REPLACED = ("cv2", "llguidance", "torch", "torchaudio", "torchvision", "triton", "xgrammar")


class _Type(type):
    """A stand-in for a class, with more of them as its attributes."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(cls, name, _stand_in(name, cls.__module__))
        return cls.__dict__[name]

    def __or__(cls, other: Any) -> Any:
        return Union[cls, other]  # noqa: UP007 - the operator itself

    def __ror__(cls, other: Any) -> Any:
        return Union[other, cls]  # noqa: UP007 - the operator itself

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __lt__(cls, other: Any) -> bool:
        return False


class _StandIn(metaclass=_Type):
    """An object that does nothing; called with one function or class it is a decorator."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        if len(arguments) == 1 and isinstance(arguments[0], types.FunctionType | type):
            return arguments[0]
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        del arguments, options

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return import_module("pydantic_core").core_schema.any_schema()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _stand_in(name: str, module: str) -> Any:
    return _Type(name, (_StandIn,), {"__module__": module})


class _Module(types.ModuleType):
    """A module whose every name is a stand-in."""

    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return "2.14.0"
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, _stand_in(name, self.__name__))
        return self.__dict__[name]


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        del path, target
        found = name.partition(".")[0] in REPLACED
        return ModuleSpec(name, self, is_package=True) if found else None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ == "torch.library":
            vars(module)["infer_schema"] = _schema


def _schema(function: Any, **options: Any) -> str:
    """The text of a custom operator's signature, whose tensors vLLM counts."""
    del options
    signature = inspect.signature(function)
    parameters = ", ".join(
        f"{'Tensor' if 'Tensor' in str(one.annotation) else 'int'} {name}"
        for name, one in signature.parameters.items()
    )
    returned = max(1, str(signature.return_annotation).count("Tensor"))
    tensors = ", ".join(["Tensor"] * returned)
    return f"({parameters}) -> {f'({tensors})' if returned > 1 else tensors}"


def _the_parser() -> Any:
    sys.meta_path.insert(0, _Finder())
    import_module("vllm.platforms").current_platform.device_type = "cuda"
    parsers = import_module("vllm.utils.argparse_utils")
    arguments = import_module("vllm.entrypoints.common.cli_args")
    return arguments.make_arg_parser(parsers.FlexibleArgumentParser(prog="vllm serve"))


def _main() -> None:
    parser = _the_parser()
    options = [action.option_strings for action in parser._actions]
    refusals = parser_refusals(parser, json.load(sys.stdin))
    sys.stdout.write(json.dumps({"options": options, "refusals": refusals}) + "\n")


if __name__ == "__main__":
    _main()
