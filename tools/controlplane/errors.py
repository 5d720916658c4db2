"""What can go wrong, as one tree.

ControlPlaneError
├── UsageError           the caller must change something; the command exits 2
│   ├── NodesFileError   a field of a nodes file is wrong
│   ├── ToolMissingError a program that the build needs is not here
│   └── FolderError      the run folder is in use or not ours
├── BuildError           a pinned program could not be built
├── StartError           a component ended or did not become ready
├── SupervisorError      the supervisor refused a request or does not answer
├── ApiError             the API server answered with an error, or not at all
└── KubectlError         kubectl ended with another code than 0
"""


class ControlPlaneError(Exception):
    """Anything that the embedded control plane reports; the text is meant for people."""

    exit_code = 1


class UsageError(ControlPlaneError):
    """The caller must change something; trying again cannot help."""

    exit_code = 2


class NodesFileError(UsageError):
    """A field of a nodes file is wrong."""


class ToolMissingError(UsageError):
    """A program that the build needs is missing or too old."""


class FolderError(UsageError):
    """A run folder is in use, or holds files that are not ours."""


class BuildError(ControlPlaneError):
    """A pinned program could not be built."""


class StartError(ControlPlaneError):
    """A component ended or did not become ready in time."""


class SupervisorError(ControlPlaneError):
    """The supervisor refused a request or does not answer."""


class ApiError(ControlPlaneError):
    """The API server answered with an error, or not at all.

    Attributes:
        code: HTTP status; 0 when there was no answer.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class KubectlError(ControlPlaneError):
    """A kubectl command ended with another code than 0.

    Attributes:
        returncode: exit code of kubectl.
        stdout: what it had printed.
        stderr: its complaint, which is part of the message too.
    """

    def __init__(self, arguments: tuple[str, ...], returncode: int, out: str, err: str) -> None:
        complaint = err.strip() or out.strip() or "(no output)"
        super().__init__(f"kubectl {' '.join(arguments)}: exit code {returncode}: {complaint}")
        self.returncode = returncode
        self.stdout = out
        self.stderr = err
