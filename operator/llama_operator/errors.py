"""Errors that callers may act on.

    LlamaOperatorError
    ├── SpecError              the user must change the spec; a retry cannot help
    │   ├── NameConflictError      an object of a child's name belongs to somebody else
    │   └── UnreadableRecordError  what runs was recorded in a form that is not known
    ├── CatalogError           a table row cannot be read
    ├── InputError             a file or argument given to the command line is wrong
    ├── SizingError            the memory model has no rule for it
    │   ├── ConfigError                   a config.json cannot be read as a model
    │   └── UnsupportedSchemeError        no bytes are known for the quantization scheme
    ├── HubError               a hub did not give the facts of a model
    │   ├── RepositoryNotFoundError  there is no such repository, or it is private
    │   ├── RevisionNotFoundError    the repository has no such branch, tag or commit
    │   ├── FileNotFoundInRepositoryError  the repository has no such file
    │   ├── GatedRepositoryError     its conditions must be accepted first
    │   ├── HubAccessError           the hub refuses the token, or asks for one
    │   ├── HubUnreachableError      no answer, or one that breaks off
    │   │   └── HubTimeoutError          not within the time allowed
    │   ├── HubTooLargeError         more bytes than facts can have
    │   ├── HubContentError          an answer or file is not of its format
    │   ├── NotCachedError           offline, and the cache does not have it
    │   └── ChecksumError            what came is not what the hub lists
    ├── VolumeError            a folder for models cannot be written
    │   └── VolumeTooSmallError      it has no room for the model
    └── RenderError            a template made something that its API model refuses: a bug

Capacity is no error: planning returns a `Refusal` with the reason and what would fit instead.
"""


class LlamaOperatorError(Exception):
    """Base of every error of this package."""

    reason = "InternalError"


class SpecError(LlamaOperatorError):
    """The user must change the spec; retrying cannot help.

    Args:
        field: path of the field, e.g. `spec.quantization`.
        message: what is wrong and what is allowed.
        reason: the condition reason; `InvalidSpec` unless a narrower one fits.
    """

    reason = "InvalidSpec"

    def __init__(self, field: str, message: str, *, reason: str | None = None) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        if reason is not None:
            self.reason = reason


class NameConflictError(SpecError):
    """An object of a child's name exists and is not ours."""

    reason = "NameConflict"


class UnreadableRecordError(SpecError):
    """The newest record of what runs is of a form that this version cannot read.

    Args:
        name: name of the ControllerRevision.
    """

    reason = "RecordUnreadable"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"ControllerRevision {name}",
            "this version of the operator cannot read this record of what runs, so it leaves "
            "everything as it is; run the version that wrote it, or delete it to have the "
            "deployment planned anew, which may restart its pods",
        )


class CatalogError(LlamaOperatorError):
    """A row of a table cannot be read; names the table, the row and the column."""

    reason = "InvalidCatalogRow"


class InputError(LlamaOperatorError):
    """A file or an argument of the command line is wrong; names it and what is allowed."""

    reason = "InvalidInput"


class SizingError(LlamaOperatorError):
    """The memory model has no rule for what is asked; names what is supported."""

    reason = "UnsupportedFormat"


class ConfigError(SizingError):
    """A `config.json` does not describe a model that the formulas know.

    Args:
        key: path of the key, e.g. `text_config.hidden_size`.
        message: what is wrong and what is allowed.
    """

    reason = "ModelNotServable"

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"config.json: {key}: {message}")
        self.key = key
        self.message = message


class UnsupportedSchemeError(SizingError):
    """The bytes of this quantization scheme are not known."""


class HubError(LlamaOperatorError):
    """A hub did not give the facts of a model; the message says what to do."""

    reason = "HubFailed"


class RepositoryNotFoundError(HubError):
    """There is no such repository, or it is private and the token may not read it."""

    reason = "RepositoryNotFound"


class RevisionNotFoundError(HubError):
    """The repository has no such branch, tag or commit."""

    reason = "RevisionNotFound"


class FileNotFoundInRepositoryError(HubError):
    """The repository has no such file at this commit."""

    reason = "FileNotFound"


class GatedRepositoryError(HubError):
    """The files are given only to accounts that accepted the repository's conditions."""

    reason = "RepositoryGated"


class HubAccessError(HubError):
    """The hub refuses the token, or asks for one."""

    reason = "HubAccessDenied"


class HubUnreachableError(HubError):
    """The hub gives no answer, or one that breaks off; a retry may help.

    Args:
        message: what happened, and what to do.
        retry_after_seconds: how long the hub asks to wait; None where it does not say.
    """

    reason = "HubUnreachable"

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class HubTimeoutError(HubUnreachableError):
    """The hub did not answer within the time allowed."""

    reason = "HubTimeout"


class HubTooLargeError(HubError):
    """The hub sends more than the facts of a model can take."""

    reason = "HubAnswerTooLarge"


class HubContentError(HubError):
    """An answer of the hub, or a file on it, is not of its format."""

    reason = "HubAnswerInvalid"


class NotCachedError(HubError):
    """Offline, and the cache does not have what is asked for."""

    reason = "NotCached"


class ChecksumError(HubError):
    """A file that came is not what the hub lists, again after a second try."""

    reason = "ChecksumMismatch"


class VolumeError(LlamaOperatorError):
    """A folder for models cannot be written or read; names the folder."""

    reason = "VolumeUnusable"


class VolumeTooSmallError(VolumeError):
    """The model takes more bytes than there is room for; names both."""

    reason = "VolumeTooSmall"


class RenderError(LlamaOperatorError):
    """A rendered object is refused by its API model."""

    reason = "RenderFailed"
