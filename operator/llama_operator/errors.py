"""Errors that callers may act on.

    LlamaOperatorError
    ├── SpecError              the user must change the spec; a retry cannot help
    │   ├── NameConflictError      an object of a child's name belongs to somebody else
    │   └── UnreadableRecordError  what runs was recorded in a form that is not known
    ├── CatalogError           a table row cannot be read
    ├── InputError             a file or argument given to the command line is wrong
    ├── SizingError            the memory model has no rule for it
    │   ├── ConfigError                   a config.json cannot be read as a model
    │   ├── UnsupportedSchemeError        no bytes are known for the quantization scheme
    │   └── UnsupportedArchitectureError  no formulas are known for the kind of model
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


class UnsupportedArchitectureError(SizingError):
    """The formulas do not describe this kind of model."""

    reason = "ModelNotServable"


class RenderError(LlamaOperatorError):
    """A rendered object is refused by its API model."""

    reason = "RenderFailed"
