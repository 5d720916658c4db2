"""`make demo`: a real control plane, the operator, one LlamaDeployment, and its plan."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.syntax import Syntax

from controlplane import ControlPlane, ControlPlaneError
from controlplane.progress import progress_for
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.cli.plan_view import print_plan
from workstation.install import ROOT, install
from workstation.operator_process import OperatorProcess

NODES: Final = Path(__file__).with_name("nodes.yaml")
KEPT: Final = Path(tempfile.gettempdir()) / f"llama-operator-demo-{os.getuid()}"
SAMPLE: Final = ROOT / "manifests" / "samples" / "llama-70b-awq.yaml"
NAME: Final = "llama-70b-awq"
_POD_COLUMNS: Final = (
    'custom-columns=POD:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status,'
    "NODE:.spec.nodeName,GPUS:.spec.containers[0].resources.limits.nvidia\\.com/gpu"
)
REFUSED: Final = """\
apiVersion: llama-operator.io/v1alpha1
kind: LlamaDeployment
metadata:
  name: llama-405b
spec:
  size: 405b
  format: pytorch
"""


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--down", action="store_true", help="take down what --keep left running")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=min(110, shutil.get_terminal_size((100, 24)).columns))
    try:
        return _down(console) if options.down else _run(console, keep=options.keep)
    except (ControlPlaneError, TimeoutError) as error:
        console.print(f"[bold red]the demo failed:[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; everything is taken down")
        return 130


def _run(console: Console, *, keep: bool) -> int:
    started = time.monotonic()
    _step(console, "A real etcd, API server, scheduler and controllers, with simulated GPU nodes")
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(
            ControlPlane.start(
                nodes=NODES, directory=KEPT if keep else None, progress=progress_for(sys.stdout)
            )
        )
        console.print(
            plane.kubectl(
                "get", "nodes", "-L", "nvidia.com/gpu.product,nvidia.com/gpu.count"
            ).stdout
        )
        _step(console, "The CRD, and the operator as the ServiceAccount that the chart ships")
        install(plane)
        operator = OperatorProcess(plane, plane.directory / "logs", outlive=keep)
        operator.wait_ready()
        _show_deployment(console, plane)
        _show_refusal(console, plane)
        _step(console, f"Done in {time.monotonic() - started:.0f} s")
        if keep:
            plane.detach()
            stack.pop_all()
            console.print("Everything is left running. Look around with")
            console.print(f"  export KUBECONFIG={plane.kubeconfig}", soft_wrap=True)
            if shutil.which("kubectl") is None:
                console.print(f"  alias kubectl={plane.binaries.kubectl}", soft_wrap=True)
            console.print("  kubectl get llama")
            console.print("and take it down with `make demo-down`.")
            return 0
        operator.stop()
        console.print("Taking everything down.")
    return 0


def _down(console: Console) -> int:
    if not KEPT.exists():
        console.print("no kept demo runs")
        return 0
    ControlPlane.attach(KEPT).stop()
    console.print("the kept demo is taken down")
    return 0


def _step(console: Console, text: str) -> None:
    console.rule(f"[bold]{text}", align="left")


def _show_deployment(console: Console, plane: ControlPlane) -> None:
    _step(console, f"kubectl apply -f {SAMPLE.relative_to(ROOT)}")
    console.print(Syntax(SAMPLE.read_text(encoding="utf-8"), "yaml", background_color="default"))
    applied = time.monotonic()
    plane.kubectl("apply", "-f", str(SAMPLE))
    plane.kubectl("wait", "--for=condition=Ready", f"llama/{NAME}", "--timeout=120s", timeout=150)
    console.print(
        f"Ready after {time.monotonic() - applied:.1f} s (simulated pods load no weights)"
    )
    console.print(plane.kubectl("get", "llama").stdout, soft_wrap=True)
    console.print(plane.kubectl("get", "pods", "-o", _POD_COLUMNS).stdout)
    console.print(plane.kubectl("get", "statefulsets,services").stdout)
    body = plane.api.get(
        f"/apis/llama-operator.io/v1alpha1/namespaces/default/llamadeployments/{NAME}"
    )
    plan = LlamaDeployment.parse(body).status.plan
    assert plan is not None
    print_plan(console, plan)


def _show_refusal(console: Console, plane: ControlPlane) -> None:
    _step(console, "What cannot run is refused, with what would")
    plane.apply(REFUSED)
    plane.kubectl("wait", "--for=condition=Stalled", "llama/llama-405b", "--timeout=60s")
    console.print(
        plane.kubectl(
            "get", "llama", "llama-405b",
            "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}',
        ).stdout
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
