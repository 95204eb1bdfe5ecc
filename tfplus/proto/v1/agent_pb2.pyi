from tfplus.proto.v1 import reports_pb2 as _reports_pb2
from tfplus.proto.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MemoryReading(_message.Message):
    __slots__ = ("daemon_rss_bytes", "worker_rss_bytes", "worker_peak_rss_bytes")
    DAEMON_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKER_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKER_PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    daemon_rss_bytes: int
    worker_rss_bytes: int
    worker_peak_rss_bytes: int
    def __init__(self, daemon_rss_bytes: _Optional[int] = ..., worker_rss_bytes: _Optional[int] = ..., worker_peak_rss_bytes: _Optional[int] = ...) -> None: ...

class BatteryReading(_message.Message):
    __slots__ = ("percent", "plugged_in", "source", "absent_reason")
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    PLUGGED_IN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    percent: float
    plugged_in: bool
    source: str
    absent_reason: str
    def __init__(self, percent: _Optional[float] = ..., plugged_in: bool = ..., source: _Optional[str] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class AgentStatus(_message.Message):
    __slots__ = ("name", "version", "platform", "runtime", "runtime_version", "cpu_count", "model_sha256", "trained_steps", "train_samples", "eval_samples", "memory", "battery", "incarnation", "gossip_run_id", "gossip_round", "gossip_running", "closed_gates", "blind_gates", "running_job", "processor_use", "gossip_codecs", "gossip_membership", "gossip_members")
    class ClosedGatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class BlindGatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    CPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    TRAINED_STEPS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    EVAL_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    BATTERY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_ROUND_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_RUNNING_FIELD_NUMBER: _ClassVar[int]
    CLOSED_GATES_FIELD_NUMBER: _ClassVar[int]
    BLIND_GATES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOB_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_USE_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_CODECS_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    platform: str
    runtime: str
    runtime_version: str
    cpu_count: int
    model_sha256: str
    trained_steps: int
    train_samples: int
    eval_samples: int
    memory: MemoryReading
    battery: BatteryReading
    incarnation: int
    gossip_run_id: str
    gossip_round: int
    gossip_running: bool
    closed_gates: _containers.ScalarMap[str, str]
    blind_gates: _containers.ScalarMap[str, str]
    running_job: JobStatus
    processor_use: ProcessorUse
    gossip_codecs: _containers.RepeatedScalarFieldContainer[str]
    gossip_membership: bool
    gossip_members: _containers.RepeatedCompositeFieldContainer[GossipMember]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., platform: _Optional[str] = ..., runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ..., cpu_count: _Optional[int] = ..., model_sha256: _Optional[str] = ..., trained_steps: _Optional[int] = ..., train_samples: _Optional[int] = ..., eval_samples: _Optional[int] = ..., memory: _Optional[_Union[MemoryReading, _Mapping]] = ..., battery: _Optional[_Union[BatteryReading, _Mapping]] = ..., incarnation: _Optional[int] = ..., gossip_run_id: _Optional[str] = ..., gossip_round: _Optional[int] = ..., gossip_running: bool = ..., closed_gates: _Optional[_Mapping[str, str]] = ..., blind_gates: _Optional[_Mapping[str, str]] = ..., running_job: _Optional[_Union[JobStatus, _Mapping]] = ..., processor_use: _Optional[_Union[ProcessorUse, _Mapping]] = ..., gossip_codecs: _Optional[_Iterable[str]] = ..., gossip_membership: bool = ..., gossip_members: _Optional[_Iterable[_Union[GossipMember, _Mapping]]] = ...) -> None: ...

class ProcessorUse(_message.Message):
    __slots__ = ("scheduler", "nice", "cpus", "share")
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    NICE_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    scheduler: str
    nice: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    share: float
    def __init__(self, scheduler: _Optional[str] = ..., nice: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ..., share: _Optional[float] = ...) -> None: ...

class FindModelRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class FindModelResponse(_message.Message):
    __slots__ = ("present",)
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    present: bool
    def __init__(self, present: bool = ...) -> None: ...

class UploadModelHeader(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadModelRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadModelHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadModelHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadModelResponse(_message.Message):
    __slots__ = ("sha256", "was_present")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    WAS_PRESENT_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    was_present: bool
    def __init__(self, sha256: _Optional[str] = ..., was_present: bool = ...) -> None: ...

class Scaling(_message.Message):
    __slots__ = ("scale", "offset")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    scale: float
    offset: float
    def __init__(self, scale: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("sha256", "threads", "disable_xnnpack", "fresh", "scaling")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    DISABLE_XNNPACK_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    threads: int
    disable_xnnpack: bool
    fresh: bool
    scaling: Scaling
    def __init__(self, sha256: _Optional[str] = ..., threads: _Optional[int] = ..., disable_xnnpack: bool = ..., fresh: bool = ..., scaling: _Optional[_Union[Scaling, _Mapping]] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("runtime", "runtime_version", "resumed_at_step", "accelerator", "accelerator_note", "warnings")
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESUMED_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_NOTE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    runtime: str
    runtime_version: str
    resumed_at_step: int
    accelerator: str
    accelerator_note: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ..., resumed_at_step: _Optional[int] = ..., accelerator: _Optional[str] = ..., accelerator_note: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class TrainRequest(_message.Message):
    __slots__ = ("epochs", "seed", "report_every", "max_steps")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REPORT_EVERY_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    epochs: int
    seed: int
    report_every: int
    max_steps: int
    def __init__(self, epochs: _Optional[int] = ..., seed: _Optional[int] = ..., report_every: _Optional[int] = ..., max_steps: _Optional[int] = ...) -> None: ...

class TrainStep(_message.Message):
    __slots__ = ("step", "steps_total", "epoch", "loss", "milliseconds", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    step: int
    steps_total: int
    epoch: int
    loss: float
    milliseconds: float
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, step: _Optional[int] = ..., steps_total: _Optional[int] = ..., epoch: _Optional[int] = ..., loss: _Optional[float] = ..., milliseconds: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class TrainSummary(_message.Message):
    __slots__ = ("steps", "samples", "mean_loss", "median_step_milliseconds", "seconds", "trained_steps", "memory", "mean_metrics", "read_samples", "accelerator", "accelerator_note", "redone_steps", "warnings")
    class MeanMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEAN_LOSS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_STEP_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_STEPS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    MEAN_METRICS_FIELD_NUMBER: _ClassVar[int]
    READ_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_NOTE_FIELD_NUMBER: _ClassVar[int]
    REDONE_STEPS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    samples: int
    mean_loss: float
    median_step_milliseconds: float
    seconds: float
    trained_steps: int
    memory: MemoryReading
    mean_metrics: _containers.ScalarMap[str, float]
    read_samples: int
    accelerator: str
    accelerator_note: str
    redone_steps: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, steps: _Optional[int] = ..., samples: _Optional[int] = ..., mean_loss: _Optional[float] = ..., median_step_milliseconds: _Optional[float] = ..., seconds: _Optional[float] = ..., trained_steps: _Optional[int] = ..., memory: _Optional[_Union[MemoryReading, _Mapping]] = ..., mean_metrics: _Optional[_Mapping[str, float]] = ..., read_samples: _Optional[int] = ..., accelerator: _Optional[str] = ..., accelerator_note: _Optional[str] = ..., redone_steps: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class TrainEvent(_message.Message):
    __slots__ = ("step", "summary")
    STEP_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    step: TrainStep
    summary: TrainSummary
    def __init__(self, step: _Optional[_Union[TrainStep, _Mapping]] = ..., summary: _Optional[_Union[TrainSummary, _Mapping]] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("samples", "seconds", "known_samples", "known_accuracy", "metrics", "losses", "trained_steps")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class LossesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    KNOWN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    TRAINED_STEPS_FIELD_NUMBER: _ClassVar[int]
    samples: int
    seconds: float
    known_samples: int
    known_accuracy: float
    metrics: _containers.ScalarMap[str, float]
    losses: _containers.ScalarMap[str, float]
    trained_steps: int
    def __init__(self, samples: _Optional[int] = ..., seconds: _Optional[float] = ..., known_samples: _Optional[int] = ..., known_accuracy: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., losses: _Optional[_Mapping[str, float]] = ..., trained_steps: _Optional[int] = ...) -> None: ...

class GetWeightsRequest(_message.Message):
    __slots__ = ("prefixes", "include_optimizer", "gossip_round")
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_ROUND_FIELD_NUMBER: _ClassVar[int]
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    include_optimizer: bool
    gossip_round: int
    def __init__(self, prefixes: _Optional[_Iterable[str]] = ..., include_optimizer: bool = ..., gossip_round: _Optional[int] = ...) -> None: ...

class SetWeightsResponse(_message.Message):
    __slots__ = ("tensors", "saved")
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    SAVED_FIELD_NUMBER: _ClassVar[int]
    tensors: int
    saved: bool
    def __init__(self, tensors: _Optional[int] = ..., saved: bool = ...) -> None: ...

class GossipNeighbour(_message.Message):
    __slots__ = ("name", "address", "slices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    slices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., slices: _Optional[_Iterable[str]] = ...) -> None: ...

class GossipPlan(_message.Message):
    __slots__ = ("run_id", "neighbours", "rounds", "epochs_per_round", "seed", "round_timeout_s", "keep_snapshots", "mixing", "codec", "membership")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_PER_ROUND_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ROUND_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    KEEP_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    MIXING_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    neighbours: _containers.RepeatedCompositeFieldContainer[GossipNeighbour]
    rounds: int
    epochs_per_round: int
    seed: int
    round_timeout_s: float
    keep_snapshots: bool
    mixing: str
    codec: str
    membership: GossipMembership
    def __init__(self, run_id: _Optional[str] = ..., neighbours: _Optional[_Iterable[_Union[GossipNeighbour, _Mapping]]] = ..., rounds: _Optional[int] = ..., epochs_per_round: _Optional[int] = ..., seed: _Optional[int] = ..., round_timeout_s: _Optional[float] = ..., keep_snapshots: bool = ..., mixing: _Optional[str] = ..., codec: _Optional[str] = ..., membership: _Optional[_Union[GossipMembership, _Mapping]] = ...) -> None: ...

class GossipMembership(_message.Message):
    __slots__ = ("members", "admitted", "topology", "degree", "period_s", "joins")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    DEGREE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    JOINS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[GossipNeighbour]
    admitted: _containers.RepeatedCompositeFieldContainer[GossipNeighbour]
    topology: str
    degree: int
    period_s: float
    joins: bool
    def __init__(self, members: _Optional[_Iterable[_Union[GossipNeighbour, _Mapping]]] = ..., admitted: _Optional[_Iterable[_Union[GossipNeighbour, _Mapping]]] = ..., topology: _Optional[str] = ..., degree: _Optional[int] = ..., period_s: _Optional[float] = ..., joins: bool = ...) -> None: ...

class GossipMember(_message.Message):
    __slots__ = ("name", "state", "incarnation")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[GossipMember.State]
        ALIVE: _ClassVar[GossipMember.State]
        SUSPECT: _ClassVar[GossipMember.State]
        DEAD: _ClassVar[GossipMember.State]
        LEFT: _ClassVar[GossipMember.State]
    STATE_UNSPECIFIED: GossipMember.State
    ALIVE: GossipMember.State
    SUSPECT: GossipMember.State
    DEAD: GossipMember.State
    LEFT: GossipMember.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: GossipMember.State
    incarnation: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[GossipMember.State, str]] = ..., incarnation: _Optional[int] = ...) -> None: ...

class AdmitToGossipRequest(_message.Message):
    __slots__ = ("run_id", "name", "address")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    name: str
    address: str
    def __init__(self, run_id: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class StartGossipResponse(_message.Message):
    __slots__ = ("resumed_at_round",)
    RESUMED_AT_ROUND_FIELD_NUMBER: _ClassVar[int]
    resumed_at_round: int
    def __init__(self, resumed_at_round: _Optional[int] = ...) -> None: ...

class WatchGossipRequest(_message.Message):
    __slots__ = ("run_id", "from_round")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_ROUND_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    from_round: int
    def __init__(self, run_id: _Optional[str] = ..., from_round: _Optional[int] = ...) -> None: ...

class GossipEvent(_message.Message):
    __slots__ = ("state", "round", "train_loss", "responders", "missing", "bytes_sent", "bytes_received", "train_seconds", "wait_seconds", "error", "slice_weights", "train_metrics", "eval_metrics", "warnings", "counted", "bytes_sent_as_float32", "members", "member_news")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[GossipEvent.State]
        ROUND_DONE: _ClassVar[GossipEvent.State]
        FINISHED: _ClassVar[GossipEvent.State]
        FAILED: _ClassVar[GossipEvent.State]
        STOPPED: _ClassVar[GossipEvent.State]
        JOINED: _ClassVar[GossipEvent.State]
    STATE_UNSPECIFIED: GossipEvent.State
    ROUND_DONE: GossipEvent.State
    FINISHED: GossipEvent.State
    FAILED: GossipEvent.State
    STOPPED: GossipEvent.State
    JOINED: GossipEvent.State
    class SliceWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TrainMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class EvalMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TRAIN_LOSS_FIELD_NUMBER: _ClassVar[int]
    RESPONDERS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SLICE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_METRICS_FIELD_NUMBER: _ClassVar[int]
    EVAL_METRICS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_AS_FLOAT32_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEMBER_NEWS_FIELD_NUMBER: _ClassVar[int]
    state: GossipEvent.State
    round: int
    train_loss: float
    responders: _containers.RepeatedScalarFieldContainer[str]
    missing: _containers.RepeatedScalarFieldContainer[str]
    bytes_sent: int
    bytes_received: int
    train_seconds: float
    wait_seconds: float
    error: str
    slice_weights: _containers.ScalarMap[str, float]
    train_metrics: _containers.ScalarMap[str, float]
    eval_metrics: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    counted: _containers.RepeatedCompositeFieldContainer[CountedContribution]
    bytes_sent_as_float32: int
    members: _containers.RepeatedCompositeFieldContainer[GossipMember]
    member_news: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, state: _Optional[_Union[GossipEvent.State, str]] = ..., round: _Optional[int] = ..., train_loss: _Optional[float] = ..., responders: _Optional[_Iterable[str]] = ..., missing: _Optional[_Iterable[str]] = ..., bytes_sent: _Optional[int] = ..., bytes_received: _Optional[int] = ..., train_seconds: _Optional[float] = ..., wait_seconds: _Optional[float] = ..., error: _Optional[str] = ..., slice_weights: _Optional[_Mapping[str, float]] = ..., train_metrics: _Optional[_Mapping[str, float]] = ..., eval_metrics: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ..., counted: _Optional[_Iterable[_Union[CountedContribution, _Mapping]]] = ..., bytes_sent_as_float32: _Optional[int] = ..., members: _Optional[_Iterable[_Union[GossipMember, _Mapping]]] = ..., member_news: _Optional[_Iterable[str]] = ...) -> None: ...

class CountedContribution(_message.Message):
    __slots__ = ("peer", "incarnation", "round")
    PEER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    peer: str
    incarnation: int
    round: int
    def __init__(self, peer: _Optional[str] = ..., incarnation: _Optional[int] = ..., round: _Optional[int] = ...) -> None: ...

class StopGossipRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class StopGossipResponse(_message.Message):
    __slots__ = ("was_running",)
    WAS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    was_running: bool
    def __init__(self, was_running: bool = ...) -> None: ...

class TrainJob(_message.Message):
    __slots__ = ("epochs", "max_steps", "seed", "checkpoint_every", "report_every", "max_restarts", "learning_rate", "schedule", "validate_every_epochs", "validate_every_steps", "early_stopping", "slice_norms")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_FIELD_NUMBER: _ClassVar[int]
    REPORT_EVERY_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_EVERY_STEPS_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    SLICE_NORMS_FIELD_NUMBER: _ClassVar[int]
    epochs: int
    max_steps: int
    seed: int
    checkpoint_every: int
    report_every: int
    max_restarts: int
    learning_rate: float
    schedule: str
    validate_every_epochs: int
    validate_every_steps: int
    early_stopping: EarlyStopping
    slice_norms: bool
    def __init__(self, epochs: _Optional[int] = ..., max_steps: _Optional[int] = ..., seed: _Optional[int] = ..., checkpoint_every: _Optional[int] = ..., report_every: _Optional[int] = ..., max_restarts: _Optional[int] = ..., learning_rate: _Optional[float] = ..., schedule: _Optional[str] = ..., validate_every_epochs: _Optional[int] = ..., validate_every_steps: _Optional[int] = ..., early_stopping: _Optional[_Union[EarlyStopping, _Mapping]] = ..., slice_norms: bool = ...) -> None: ...

class EarlyStopping(_message.Message):
    __slots__ = ("monitor", "patience", "min_delta", "maximize", "restore_best")
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    MAXIMIZE_FIELD_NUMBER: _ClassVar[int]
    RESTORE_BEST_FIELD_NUMBER: _ClassVar[int]
    monitor: str
    patience: int
    min_delta: float
    maximize: bool
    restore_best: bool
    def __init__(self, monitor: _Optional[str] = ..., patience: _Optional[int] = ..., min_delta: _Optional[float] = ..., maximize: bool = ..., restore_best: bool = ...) -> None: ...

class EvaluateJob(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PredictJob(_message.Message):
    __slots__ = ("training_data",)
    TRAINING_DATA_FIELD_NUMBER: _ClassVar[int]
    training_data: bool
    def __init__(self, training_data: bool = ...) -> None: ...

class BenchmarkJob(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    def __init__(self, steps: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("train", "evaluate", "predict", "benchmark", "gossip", "max_seconds", "max_joules", "attached", "priority")
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    PREDICT_FIELD_NUMBER: _ClassVar[int]
    BENCHMARK_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_JOULES_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    train: TrainJob
    evaluate: EvaluateJob
    predict: PredictJob
    benchmark: BenchmarkJob
    gossip: GossipPlan
    max_seconds: float
    max_joules: float
    attached: bool
    priority: int
    def __init__(self, train: _Optional[_Union[TrainJob, _Mapping]] = ..., evaluate: _Optional[_Union[EvaluateJob, _Mapping]] = ..., predict: _Optional[_Union[PredictJob, _Mapping]] = ..., benchmark: _Optional[_Union[BenchmarkJob, _Mapping]] = ..., gossip: _Optional[_Union[GossipPlan, _Mapping]] = ..., max_seconds: _Optional[float] = ..., max_joules: _Optional[float] = ..., attached: bool = ..., priority: _Optional[int] = ...) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("id", "spec")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: JobSpec
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ...) -> None: ...

class JobStatus(_message.Message):
    __slots__ = ("id", "state", "spec", "model_sha256", "steps_done", "steps_total", "restarts", "error", "submitted_s", "started_s", "ended_s", "note", "pausing", "rounds_done")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[JobStatus.State]
        QUEUED: _ClassVar[JobStatus.State]
        RUNNING: _ClassVar[JobStatus.State]
        FINISHED: _ClassVar[JobStatus.State]
        FAILED: _ClassVar[JobStatus.State]
        CANCELLED: _ClassVar[JobStatus.State]
        PAUSED: _ClassVar[JobStatus.State]
    STATE_UNSPECIFIED: JobStatus.State
    QUEUED: JobStatus.State
    RUNNING: JobStatus.State
    FINISHED: JobStatus.State
    FAILED: JobStatus.State
    CANCELLED: JobStatus.State
    PAUSED: JobStatus.State
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    STEPS_DONE_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_S_FIELD_NUMBER: _ClassVar[int]
    STARTED_S_FIELD_NUMBER: _ClassVar[int]
    ENDED_S_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    PAUSING_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_DONE_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: JobStatus.State
    spec: JobSpec
    model_sha256: str
    steps_done: int
    steps_total: int
    restarts: int
    error: str
    submitted_s: float
    started_s: float
    ended_s: float
    note: str
    pausing: bool
    rounds_done: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[JobStatus.State, str]] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., model_sha256: _Optional[str] = ..., steps_done: _Optional[int] = ..., steps_total: _Optional[int] = ..., restarts: _Optional[int] = ..., error: _Optional[str] = ..., submitted_s: _Optional[float] = ..., started_s: _Optional[float] = ..., ended_s: _Optional[float] = ..., note: _Optional[str] = ..., pausing: bool = ..., rounds_done: _Optional[int] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobStatus]
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobStatus, _Mapping]]] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("id", "from_sequence")
    ID_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    from_sequence: int
    def __init__(self, id: _Optional[str] = ..., from_sequence: _Optional[int] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("sequence", "kind", "time_s", "steps_done", "reason", "step", "trained", "evaluated", "report", "epoch_so_far", "benchmarked", "gossip", "rounds_done")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[JobEvent.Kind]
        QUEUED: _ClassVar[JobEvent.Kind]
        STARTED: _ClassVar[JobEvent.Kind]
        STEP: _ClassVar[JobEvent.Kind]
        CHECKPOINT: _ClassVar[JobEvent.Kind]
        RESUMED: _ClassVar[JobEvent.Kind]
        FINISHED: _ClassVar[JobEvent.Kind]
        FAILED: _ClassVar[JobEvent.Kind]
        CANCELLED: _ClassVar[JobEvent.Kind]
        PAUSED: _ClassVar[JobEvent.Kind]
        VALIDATED: _ClassVar[JobEvent.Kind]
        EPOCH: _ClassVar[JobEvent.Kind]
        ROUND: _ClassVar[JobEvent.Kind]
    KIND_UNSPECIFIED: JobEvent.Kind
    QUEUED: JobEvent.Kind
    STARTED: JobEvent.Kind
    STEP: JobEvent.Kind
    CHECKPOINT: JobEvent.Kind
    RESUMED: JobEvent.Kind
    FINISHED: JobEvent.Kind
    FAILED: JobEvent.Kind
    CANCELLED: JobEvent.Kind
    PAUSED: JobEvent.Kind
    VALIDATED: JobEvent.Kind
    EPOCH: JobEvent.Kind
    ROUND: JobEvent.Kind
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    STEPS_DONE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_SO_FAR_FIELD_NUMBER: _ClassVar[int]
    BENCHMARKED_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_DONE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    kind: JobEvent.Kind
    time_s: float
    steps_done: int
    reason: str
    step: TrainStep
    trained: TrainSummary
    evaluated: EvaluateResponse
    report: _reports_pb2.WorkReport
    epoch_so_far: _reports_pb2.WorkReport
    benchmarked: _reports_pb2.BenchmarkReport
    gossip: GossipEvent
    rounds_done: int
    def __init__(self, sequence: _Optional[int] = ..., kind: _Optional[_Union[JobEvent.Kind, str]] = ..., time_s: _Optional[float] = ..., steps_done: _Optional[int] = ..., reason: _Optional[str] = ..., step: _Optional[_Union[TrainStep, _Mapping]] = ..., trained: _Optional[_Union[TrainSummary, _Mapping]] = ..., evaluated: _Optional[_Union[EvaluateResponse, _Mapping]] = ..., report: _Optional[_Union[_reports_pb2.WorkReport, _Mapping]] = ..., epoch_so_far: _Optional[_Union[_reports_pb2.WorkReport, _Mapping]] = ..., benchmarked: _Optional[_Union[_reports_pb2.BenchmarkReport, _Mapping]] = ..., gossip: _Optional[_Union[GossipEvent, _Mapping]] = ..., rounds_done: _Optional[int] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("was_unfinished",)
    WAS_UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    was_unfinished: bool
    def __init__(self, was_unfinished: bool = ...) -> None: ...
