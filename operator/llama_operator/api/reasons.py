"""Every reason a condition, an event or the command line may give, with its remedy."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Condition reasons. The same word in status, events, docs and command line."""

    SERVING = "Serving"
    STARTING = "Starting"
    DOWNLOADING = "Downloading"
    ROLLING_OUT = "RollingOut"
    SCALED_TO_ZERO = "ScaledToZero"
    SUSPENDED = "Suspended"
    WAITING_FOR_GPUS = "WaitingForGPUs"
    WAITING_FOR_DELETION = "WaitingForDeletion"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_MODEL = "UnknownModel"
    NOT_PUBLISHED = "NotPublished"
    MODEL_NOT_SERVABLE = "ModelNotServable"
    TOKEN_REQUIRED = "TokenRequired"  # noqa: S105 - a reason, no secret
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    NAME_CONFLICT = "NameConflict"
    FIELD_CONFLICT = "FieldConflict"
    PODS_REJECTED = "PodsRejected"
    NO_GPUS = "NoGPUs"
    GPU_NOT_IN_CLUSTER = "GPUNotInCluster"
    UNSUPPORTED_GPU = "UnsupportedGPU"
    TENSOR_PARALLEL_SIZE = "TensorParallelSize"
    TOO_FEW_GPUS = "TooFewGPUs"
    MULTI_NODE_UNAVAILABLE = "MultiNodeUnavailable"
    WEIGHTS_TOO_LARGE = "WeightsTooLarge"
    ACTIVATION_TOO_LARGE = "ActivationTooLarge"
    CUDA_GRAPHS_TOO_LARGE = "CUDAGraphsTooLarge"
    KV_CACHE_TOO_SMALL = "KVCacheTooSmall"
    CONTEXT_TOO_LONG = "ContextTooLong"
    HOST_TOO_SMALL = "HostTooSmall"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    REPOSITORY_ACCESS_DENIED = "RepositoryAccessDenied"
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    REPOSITORY_UNUSABLE = "RepositoryUnusable"
    HUB_UNREACHABLE = "HubUnreachable"
    DOWNLOAD_CORRUPT = "DownloadCorrupt"
    MODEL_NOT_FETCHED = "ModelNotFetched"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    VOLUME_UNUSABLE = "VolumeUnusable"
    DOWNLOAD_FAILED = "DownloadFailed"
    CONTAINER_FAILED = "ContainerFailed"
    FORBIDDEN = "Forbidden"
    REJECTED_BY_API_SERVER = "RejectedByAPIServer"
    API_SERVER_ERROR = "APIServerError"
    CATALOG_ROWS_INVALID = "CatalogRowsInvalid"
    RECORD_UNREADABLE = "RecordUnreadable"
    OPERATOR_ERROR = "OperatorError"


@dataclass(frozen=True)
class ReasonFacts:
    """What a reason means and what a person does about it.

    `stalled` tells whether the object waits for an edit or for other hardware (kstatus Failed)
    instead of going on by itself (kstatus InProgress).
    """

    meaning: str
    remedy: str
    stalled: bool = False


REASONS: Final[dict[Reason, ReasonFacts]] = {
    Reason.SERVING: ReasonFacts("The URL answers.", "Nothing to do; send requests to status.url."),
    Reason.STARTING: ReasonFacts(
        "Pods load the model; none is ready yet.",
        "Wait; plan.startupSeconds tells how long it may take.",
    ),
    Reason.DOWNLOADING: ReasonFacts(
        "The model is downloaded to the volume of spec.cache; no GPU is held meanwhile.",
        "Wait; the message tells how far it is, and so does `kubectl logs` of the Job's pod.",
    ),
    Reason.ROLLING_OUT: ReasonFacts(
        "Pods change to the new revision.", "Wait; the last good revision goes on serving."
    ),
    Reason.SCALED_TO_ZERO: ReasonFacts(
        "Zero replicas are asked for.",
        "Set spec.replicas, e.g. with `kubectl scale llama NAME --replicas=1`.",
    ),
    Reason.SUSPENDED: ReasonFacts("spec.suspend is true.", "Set spec.suspend to false."),
    Reason.WAITING_FOR_GPUS: ReasonFacts(
        "The plan fits this cluster, but its GPUs are busy.",
        "Free GPUs, add nodes of an accepted product, or choose a lighter format; "
        "`llama-operator explain` tells what else would do.",
    ),
    Reason.WAITING_FOR_DELETION: ReasonFacts(
        "Children of a deleted deployment of the same name are still there.",
        "Wait for the garbage collector.",
    ),
    Reason.INVALID_SPEC: ReasonFacts(
        "The spec breaks a rule.", "Edit the field that the message names.", stalled=True
    ),
    Reason.UNKNOWN_MODEL: ReasonFacts(
        "The catalog has no such model or size.",
        "Choose a row of `llama-operator models`, or add one by a ConfigMap.",
        stalled=True,
    ),
    Reason.NOT_PUBLISHED: ReasonFacts(
        "The model is not published in this format, quantization or on this hub.",
        "Choose one that the message lists.",
        stalled=True,
    ),
    Reason.MODEL_NOT_SERVABLE: ReasonFacts(
        "The model does not generate text, so no engine here serves it.",
        "Use a classifier server for it.",
        stalled=True,
    ),
    Reason.TOKEN_REQUIRED: ReasonFacts(
        "The repository is gated, and spec.tokenSecretRef names no token.",
        "Accept the licence at the repository that the message names, make a Secret with a token "
        "of that account and name it in spec.tokenSecretRef; or take the ungated copy that the "
        "message names.",
        stalled=True,
    ),
    Reason.UNSUPPORTED_FORMAT: ReasonFacts(
        "No engine of this operator loads the format.",
        "Choose a format that the message lists.",
        stalled=True,
    ),
    Reason.NAME_CONFLICT: ReasonFacts(
        "An object of a child's name belongs to somebody else.",
        "Rename the deployment or remove that object.",
        stalled=True,
    ),
    Reason.FIELD_CONFLICT: ReasonFacts(
        "Somebody sets fields of a child again and again to other values than planned.",
        "Take that object away from the manager that the message names; edit the spec instead.",
    ),
    Reason.PODS_REJECTED: ReasonFacts(
        "A quota, limit or policy of the namespace refuses the pods.",
        "Change what the message names; the StatefulSet tries again by itself.",
    ),
    Reason.NO_GPUS: ReasonFacts(
        "No ready node offers GPUs with known memory.",
        "Add GPU nodes with a device plugin and GPU Feature Discovery.",
        stalled=True,
    ),
    Reason.GPU_NOT_IN_CLUSTER: ReasonFacts(
        "No node has a GPU of the kinds that spec.hardware lists.",
        "List a product that `llama-operator inventory` shows.",
        stalled=True,
    ),
    Reason.UNSUPPORTED_GPU: ReasonFacts(
        "No engine runs on these GPUs, or none loads the quantization on them.",
        "Choose another format or GPU.",
        stalled=True,
    ),
    Reason.TENSOR_PARALLEL_SIZE: ReasonFacts(
        "The model cannot be divided over so many GPUs.",
        "Choose a count that the message lists.",
        stalled=True,
    ),
    Reason.TOO_FEW_GPUS: ReasonFacts(
        "No node has as many GPUs as a replica needs.",
        "Lower hardware[].count or add larger nodes.",
        stalled=True,
    ),
    Reason.MULTI_NODE_UNAVAILABLE: ReasonFacts(
        "A replica would need several nodes, which need LeaderWorkerSet, and the cluster has none.",
        "Install LeaderWorkerSet (https://lws.sigs.k8s.io/docs/installation/); the operator sees "
        "it by itself. Or choose an alternative on one node.",
        stalled=True,
    ),
    Reason.WEIGHTS_TOO_LARGE: ReasonFacts(
        "The weights alone exceed the memory of any GPUs here.",
        "Choose a lighter format or larger GPUs; status.recommendation lists what would fit.",
        stalled=True,
    ),
    Reason.ACTIVATION_TOO_LARGE: ReasonFacts(
        "Weights and activations leave no room for a KV cache.",
        "Lower memory.maxNumBatchedTokens or maxNumSeqs, or choose an alternative.",
        stalled=True,
    ),
    Reason.CUDA_GRAPHS_TOO_LARGE: ReasonFacts(
        "CUDA graphs take the room that the KV cache needs.",
        "Set memory.cudaGraphs to Disabled, or choose an alternative.",
        stalled=True,
    ),
    Reason.KV_CACHE_TOO_SMALL: ReasonFacts(
        "The KV cache cannot hold the requests asked for.",
        "Lower context.maxModelLen or context.concurrency, or choose an alternative.",
        stalled=True,
    ),
    Reason.CONTEXT_TOO_LONG: ReasonFacts(
        "context.maxModelLen exceeds what the model was made for.",
        "Lower it to the model's own context.",
        stalled=True,
    ),
    Reason.HOST_TOO_SMALL: ReasonFacts(
        "Nodes with these GPUs lack CPU, memory or disk.",
        "Use nodes with more of what the message names.",
        stalled=True,
    ),
    Reason.OUT_OF_MEMORY: ReasonFacts(
        "The engine ran out of memory.",
        "Lower context.maxModelLen or memory.utilizationPercent; see docs/how-to/troubleshoot.md.",
    ),
    Reason.IMAGE_PULL_FAILED: ReasonFacts(
        "The engine's image cannot be pulled.",
        "Check spec.engine.image and spec.template.spec.imagePullSecrets.",
    ),
    Reason.REPOSITORY_ACCESS_DENIED: ReasonFacts(
        "The hub does not let the model be downloaded.",
        "Accept the licence on the hub and name a Secret with your token in spec.tokenSecretRef.",
    ),
    Reason.REPOSITORY_NOT_FOUND: ReasonFacts(
        "The hub has no such repository, branch, commit or file, or hides it from this token.",
        "Check the name and the revision that the message gives; a private repository needs a "
        "token that may read it.",
        stalled=True,
    ),
    Reason.REPOSITORY_UNUSABLE: ReasonFacts(
        "The repository does not hold what an engine reads, or not in a form that can be checked.",
        "Read the message; choose another repository or revision.",
        stalled=True,
    ),
    Reason.HUB_UNREACHABLE: ReasonFacts(
        "The hub does not answer, or allows no more requests now, after all tries.",
        "Check network, proxy and the hub's state; what was fetched is kept and taken up again.",
    ),
    Reason.DOWNLOAD_CORRUPT: ReasonFacts(
        "A file is not what the hub lists, by its checksum, twice.",
        "Look for a proxy or mirror that changes files, or a damaged disk; fetch again.",
    ),
    Reason.MODEL_NOT_FETCHED: ReasonFacts(
        "Files of the model are missing on the volume, and no network may be used.",
        "Run `llama-operator prefetch` once without --offline.",
        stalled=True,
    ),
    Reason.VOLUME_TOO_SMALL: ReasonFacts(
        "The model takes more bytes than the volume has, or than are allowed.",
        "Take a larger volume, clear this one, or choose a lighter format.",
        stalled=True,
    ),
    Reason.VOLUME_UNUSABLE: ReasonFacts(
        "The volume for models cannot be written.",
        "Check the rights of the pod's user on it, and that it has links and locks.",
    ),
    Reason.DOWNLOAD_FAILED: ReasonFacts(
        "The model cannot be downloaded to the volume of spec.cache.",
        "Mend what the message names. It is tried again at the time that the message tells; at "
        "once when you delete the Job that it names, or edit the spec.",
    ),
    Reason.CONTAINER_FAILED: ReasonFacts(
        "The engine exits.", "Read the message and `kubectl logs` of the pod."
    ),
    Reason.FORBIDDEN: ReasonFacts(
        "The operator lacks a right.", "Grant the verb and resource that the message names."
    ),
    Reason.REJECTED_BY_API_SERVER: ReasonFacts(
        "The API server refuses a child.",
        "Read the message; a policy of the cluster may forbid it.",
        stalled=True,
    ),
    Reason.API_SERVER_ERROR: ReasonFacts(
        "The API server fails to write a child, or a webhook that it asks does not answer.",
        "Mend what the message names; the operator goes on trying.",
    ),
    Reason.CATALOG_ROWS_INVALID: ReasonFacts(
        "A row of a user's catalog ConfigMap is wrong and ignored.",
        "Mend the row that the message names.",
    ),
    Reason.RECORD_UNREADABLE: ReasonFacts(
        "What runs was recorded by another version of the operator in a form that this one cannot "
        "read; nothing is touched.",
        "Run the version that wrote it, or delete the ControllerRevision that the message names to "
        "have the deployment planned anew.",
        stalled=True,
    ),
    Reason.OPERATOR_ERROR: ReasonFacts(
        "The operator met a bug; it goes on trying.",
        "Report the operator's log lines for this deployment.",
    ),
}
