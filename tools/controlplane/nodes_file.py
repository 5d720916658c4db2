"""Reading a nodes file: YAML in, `GpuNode`s out, and an exact complaint about anything wrong."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from controlplane.errors import NodesFileError
from controlplane.nodes import GpuNode, Taint

MAX_COUNT = 20_000
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAME = re.compile(r"(?!.{64})[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(rf"([a-z0-9][-a-z0-9.]{{0,252}}/)?(?!$){_LABEL_VALUE.pattern}")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_COMPUTE_CAPABILITY = re.compile(r"[0-9]{1,2}\.[0-9]")
_DRIVER = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")


def load_nodes(path: Path) -> list[GpuNode]:
    """Read a nodes file; an entry with a `count` stands for that many nodes.

    Raises:
        NodesFileError: the text names the field and what it may be.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise NodesFileError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise NodesFileError(f"{path}: not YAML: {error}") from error
    return parse_nodes(content, str(path))


def parse_nodes(content: object, source: str) -> list[GpuNode]:
    """Check the parsed content of a nodes file; `source` names it in complaints."""
    top = _Fields(content, source)
    entries = top.take("nodes", _list, required="a list of nodes")
    top.finish()
    nodes: list[GpuNode] = []
    for index, entry in enumerate(entries):
        nodes.extend(_entry(_Fields(entry, f"{source}: nodes[{index}]")))
    seen: set[str] = set()
    for node in nodes:
        if node.name in seen:
            raise NodesFileError(f"{source}: two nodes are called {node.name}")
        seen.add(node.name)
    return nodes


class _Fields:
    """The fields of one mapping, taken one by one; what is left over is unknown."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise NodesFileError(f"{where}: must be a mapping, not {_kind(content)}")
        self.where = where
        self._content: dict[Any, object] = dict(content)
        self._known: list[str] = []

    def take(
        self,
        name: str,
        check: Callable[[object], Any],
        default: object = None,
        required: str = "",
    ) -> Any:  # noqa: ANN401 - the type is that of the check
        """Take one field; `required` says what to write when it is missing."""
        self._known.append(name)
        value = self._content.pop(name, None)
        if value is None:
            if required:
                self.complain(name, f"is required: {required}")
            return default
        try:
            return check(value)
        except ValueError as error:
            self.complain(name, str(error))

    def complain(self, name: str, complaint: str) -> NoReturn:
        """Refuse the file because of one field."""
        raise NodesFileError(f"{self.where}: {name}: {complaint}")

    def finish(self) -> None:
        """Refuse fields that nobody took."""
        for name in self._content:
            near = difflib.get_close_matches(str(name), self._known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(self._known)}"
            self.complain(str(name), f"is not a field here; {hint}")


def _entry(fields: _Fields) -> list[GpuNode]:
    name = fields.take("name", _node_name, required="the name of the node, such as a100")
    count = fields.take("count", _whole(1, MAX_COUNT))
    gpus = fields.take("gpus", _whole(0, 64), default=0)
    needed = bool(gpus)
    driver = _matching(_DRIVER, 'a version in quotes, such as "580.65.06"')
    capability = _matching(_COMPUTE_CAPABILITY, 'a version in quotes, such as "8.0"')
    settings: dict[str, Any] = {
        "gpus": gpus,
        "product": fields.take(
            "product",
            _label_value,
            default="",
            required="the GPU product, such as NVIDIA-A100-SXM4-80GB" if needed else "",
        ),
        "memory_mib": fields.take(
            "memoryMiB",
            _whole(1, 10_000_000),
            default=0,
            required="the memory of one GPU in MiB, such as 81920" if needed else "",
        ),
        "compute_capability": fields.take(
            "computeCapability",
            capability,
            default="",
            required='the compute capability, such as "8.0"' if needed else "",
        ),
        "cpu": fields.take("cpu", _quantity, default=GpuNode.cpu),
        "memory": fields.take("memory", _quantity, default=GpuNode.memory),
        "ephemeral_storage": fields.take(
            "ephemeralStorage", _quantity, default=GpuNode.ephemeral_storage
        ),
        "driver": fields.take("driver", driver),
        "instance_type": fields.take("instanceType", _label_value),
        "labels": fields.take("labels", _labels, default={}),
        "taints": fields.take("taints", _taints_of(fields.where)),
        "unschedulable": fields.take("unschedulable", _boolean, default=False),
    }
    fields.finish()
    names = [name] if count is None else [f"{name}-{index}" for index in range(count)]
    if not _NAME.fullmatch(names[-1]):
        fields.complain("name", f"is too long: {names[-1]} has more than 63 characters")
    return [GpuNode(name=one, **settings) for one in names]


def _kind(value: object) -> str:
    names: Mapping[type, str] = {
        dict: "a mapping",
        list: "a list",
        str: "a string",
        bool: "a truth value",
        int: "a whole number",
        float: "a number",
        type(None): "nothing",
    }
    return names.get(type(value), type(value).__name__)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"must be {what}, not {value!r}")
        return value

    return check


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return value

    return check


_node_name = _matching(
    _NAME, "at most 63 lower-case letters, digits, dashes and dots, a letter or digit at each end"
)
_label_value = _matching(
    _LABEL_VALUE, "a string of at most 63 letters, digits, dots, dashes and underscores"
)
_effect = _matching(re.compile("|".join(_EFFECTS)), f"one of {', '.join(_EFFECTS)}")
_label_key = _matching(_LABEL_KEY, "a label key, such as example.com/zone")


def _quantity(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError(f"must be a quantity, such as 96 or 1100Gi, not {value!r}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {_kind(value)}")
    return value


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping, not {_kind(value)}")
    labels = {}
    for key, text in value.items():
        try:
            labels[_label_key(key)] = _label_value(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    return labels


def _taints_of(where: str) -> Callable[[object], tuple[Taint, ...]]:
    def check(value: object) -> tuple[Taint, ...]:
        return tuple(
            _taint(_Fields(entry, f"{where}: taints[{index}]"))
            for index, entry in enumerate(_list(value))
        )

    return check


def _taint(fields: _Fields) -> Taint:
    taint = Taint(
        key=fields.take("key", _label_key, required="such as nvidia.com/gpu"),
        effect=fields.take("effect", _effect, required=f"one of {', '.join(_EFFECTS)}"),
        value=fields.take("value", _label_value, default=""),
    )
    fields.finish()
    return taint
