"""Options are read from declarations of each form, with literal expectations."""

import pytest

from captures import mlx_lm, sglang, transformers
from captures.source import Library, Unreadable
from captures.table import Flag

SGLANG_FIELD = """
from typing import List, Literal, Optional
from engine import A, Arg, NS, Derived
CHOICES = ["auto", "pt"]
class Model:
    _NS_PATH = "model"
    {field}
"""
SGLANG_SERVER = """
class ServerArgs:
    @staticmethod
    def add_cli_args(parser):
        {call}
"""


def read_sglang(field: str = "rank = Derived()", call: str = "pass") -> list[Flag]:
    return sglang.flags(
        Library(
            {
                "sglang/srt/arg_groups/fields/model.py": SGLANG_FIELD.format(field=field),
                "sglang/srt/server_args.py": SGLANG_SERVER.format(call=call),
            }
        )
    )


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        pytest.param(
            'port: A[int, "The port."] = 30000',
            Flag(["--port"], type="int", default=30000),
            id="a help text",
        ),
        pytest.param(
            'path: A[str, Arg(help="The model.", aliases=["--model"])]',
            Flag(["--path", "--model"], type="str", required=True),
            id="without a default it is required",
        ),
        pytest.param(
            'tp_size: A[int, Arg(help="", cli_name="--tensor-size")] = 1',
            Flag(["--tensor-size"], type="int", default=1),
            id="a name of its own",
        ),
        pytest.param(
            'load_format: A[str, Arg(help="Format.", choices=CHOICES)] = "auto"',
            Flag(["--load-format"], type="str", choices=["auto", "pt"], default="auto"),
            id="choices by name",
        ),
        pytest.param(
            'enable: A[Optional[bool], "Text."] = None',
            Flag(["--enable"], "_StoreTrueAction", nargs=0),
            id="a switch",
        ),
        pytest.param(
            'sizes: A[Optional[List[int]], "Text."] = None',
            Flag(["--sizes"], type="int", nargs="+"),
            id="a list",
        ),
        pytest.param(
            'mode: A[Literal[None, "a", "b"], "Text."] = None',
            Flag(["--mode"], type="str", choices=[None, "a", "b"]),
            id="literals",
        ),
        pytest.param(
            'both: A[bool, Arg(help="", action=argparse.BooleanOptionalAction)] = False',
            Flag(["--both", "--no-both"], "BooleanOptionalAction", nargs=0, default=False),
            id="a pair of switches",
        ),
    ],
)
def test_fields_of_sglang(field: str, flag: Flag) -> None:
    assert read_sglang(field) == [flag]


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("plain: int = 1", id="no annotation of its own"),
        pytest.param(
            'inner: A[int, Arg(help="", no_cli=True)] = 1', id="kept from the command line"
        ),
        pytest.param('spaced: A[int, NS("model")] = 1', id="no help text"),
    ],
)
def test_fields_of_sglang_that_are_no_options(field: str) -> None:
    assert read_sglang(field) == []


def test_a_default_that_is_computed_is_refused() -> None:
    with pytest.raises(Unreadable, match="cpu_count"):
        read_sglang('threads: A[int, "Text."] = os.cpu_count()')


@pytest.mark.parametrize(
    ("call", "flag"),
    [
        pytest.param(
            "parser.add_argument('--config', type=str)", Flag(["--config"], type="str"), id="plain"
        ),
        pytest.param(
            "parser.add_argument('--old', action=DeprecatedStoreTrueAction, new_flag='--new')",
            Flag(["--old"], "DeprecatedStoreTrueAction", nargs=0, default=False),
            id="deprecated",
        ),
        pytest.param(
            "parser.add_argument('--format', default=_declared_default('port'))",
            Flag(["--format"], default=7),
            id="the default of a field",
        ),
    ],
)
def test_options_of_sglang_added_by_hand(call: str, flag: Flag) -> None:
    assert read_sglang("port: A[int, NS('x')] = 7", call) == [flag]


def test_parameters_of_transformers() -> None:
    text = """
class Mode(str, enum.Enum):
    ON = "on"
    OFF = "off"
class Serve:
    def __init__(
        self,
        model: Annotated[str | None, typer.Argument(help="The model.")] = None,
        port: Annotated[int, typer.Option(help="The port.")] = 8000,
        cb_share: Annotated[float | None, typer.Option(help="Share.")] = None,
        enable_cors: Annotated[bool, typer.Option(help="CORS.")] = False,
        mode: Annotated[Mode, typer.Option(help="Mode.")] = Mode.OFF.value,
    ) -> None: ...
"""
    assert transformers.flags(Library({"transformers/cli/serve.py": text})) == [
        Flag(["model"], type="str", nargs="?"),
        Flag(["--port"], type="int", default=8000),
        Flag(["--cb-share"], type="float"),
        Flag(
            ["--enable-cors", "--no-enable-cors"], "BooleanOptionalAction", nargs=0, default=False
        ),
        Flag(["--mode"], type="str", choices=["on", "off"], default="off"),
    ]


def test_calls_of_mlx_lm() -> None:
    text = """
from .generate import START
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=str, help="The model.")
    parser.add_argument("--start", type=int, default=START, help=f"Start ({START})")
    parser.add_argument("--origins", type=lambda x: x.split(","), default="*")
    parser.add_argument("--pipeline", action="store_true")
    args = parser.parse_args()
"""
    files = {"mlx_lm/server.py": text, "mlx_lm/generate.py": "START = 5000"}
    assert mlx_lm.flags(Library(files)) == [
        Flag(["--model"], type="str"),
        Flag(["--start"], type="int", default=5000),
        Flag(["--origins"], type="<lambda>", default="*"),
        Flag(["--pipeline"], "_StoreTrueAction", nargs=0, default=False),
    ]
