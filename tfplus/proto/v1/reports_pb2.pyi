from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnergyReport(_message.Message):
    __slots__ = ("source", "joules", "seconds", "counted", "idle_watts")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    JOULES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    IDLE_WATTS_FIELD_NUMBER: _ClassVar[int]
    source: str
    joules: float
    seconds: float
    counted: bool
    idle_watts: float
    def __init__(self, source: _Optional[str] = ..., joules: _Optional[float] = ..., seconds: _Optional[float] = ..., counted: bool = ..., idle_watts: _Optional[float] = ...) -> None: ...

class SliceReport(_message.Message):
    __slots__ = ("name", "elements", "weight_norm", "update_norm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_NORM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_NORM_FIELD_NUMBER: _ClassVar[int]
    name: str
    elements: int
    weight_norm: float
    update_norm: float
    def __init__(self, name: _Optional[str] = ..., elements: _Optional[int] = ..., weight_norm: _Optional[float] = ..., update_norm: _Optional[float] = ...) -> None: ...

class WorkReport(_message.Message):
    __slots__ = ("first_step", "steps", "samples", "read_samples", "means", "seconds", "phase_seconds", "first_step_milliseconds", "mean_step_milliseconds", "redone_steps", "energy", "energy_absent_reason", "daemon_peak_rss_bytes", "worker_peak_rss_bytes", "peak_celsius", "peak_celsius_source", "temperature_absent_reason", "slices")
    class MeansEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class PhaseSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    READ_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    MEAN_STEP_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    REDONE_STEPS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    DAEMON_PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKER_PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    PEAK_CELSIUS_SOURCE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    first_step: int
    steps: int
    samples: int
    read_samples: int
    means: _containers.ScalarMap[str, float]
    seconds: float
    phase_seconds: _containers.ScalarMap[str, float]
    first_step_milliseconds: float
    mean_step_milliseconds: float
    redone_steps: int
    energy: _containers.RepeatedCompositeFieldContainer[EnergyReport]
    energy_absent_reason: str
    daemon_peak_rss_bytes: int
    worker_peak_rss_bytes: int
    peak_celsius: float
    peak_celsius_source: str
    temperature_absent_reason: str
    slices: _containers.RepeatedCompositeFieldContainer[SliceReport]
    def __init__(self, first_step: _Optional[int] = ..., steps: _Optional[int] = ..., samples: _Optional[int] = ..., read_samples: _Optional[int] = ..., means: _Optional[_Mapping[str, float]] = ..., seconds: _Optional[float] = ..., phase_seconds: _Optional[_Mapping[str, float]] = ..., first_step_milliseconds: _Optional[float] = ..., mean_step_milliseconds: _Optional[float] = ..., redone_steps: _Optional[int] = ..., energy: _Optional[_Iterable[_Union[EnergyReport, _Mapping]]] = ..., energy_absent_reason: _Optional[str] = ..., daemon_peak_rss_bytes: _Optional[int] = ..., worker_peak_rss_bytes: _Optional[int] = ..., peak_celsius: _Optional[float] = ..., peak_celsius_source: _Optional[str] = ..., temperature_absent_reason: _Optional[str] = ..., slices: _Optional[_Iterable[_Union[SliceReport, _Mapping]]] = ...) -> None: ...

class BenchmarkReport(_message.Message):
    __slots__ = ("train_steps", "infer_steps", "train_batch", "infer_batch", "first_train_milliseconds", "first_infer_milliseconds", "median_train_milliseconds", "lower_train_milliseconds", "upper_train_milliseconds", "median_infer_milliseconds", "lower_infer_milliseconds", "upper_infer_milliseconds", "save_milliseconds", "restore_milliseconds", "accelerator")
    TRAIN_STEPS_FIELD_NUMBER: _ClassVar[int]
    INFER_STEPS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_BATCH_FIELD_NUMBER: _ClassVar[int]
    INFER_BATCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_TRAIN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_INFER_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_TRAIN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    LOWER_TRAIN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    UPPER_TRAIN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_INFER_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    LOWER_INFER_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    UPPER_INFER_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    SAVE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    RESTORE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    train_steps: int
    infer_steps: int
    train_batch: int
    infer_batch: int
    first_train_milliseconds: float
    first_infer_milliseconds: float
    median_train_milliseconds: float
    lower_train_milliseconds: float
    upper_train_milliseconds: float
    median_infer_milliseconds: float
    lower_infer_milliseconds: float
    upper_infer_milliseconds: float
    save_milliseconds: float
    restore_milliseconds: float
    accelerator: str
    def __init__(self, train_steps: _Optional[int] = ..., infer_steps: _Optional[int] = ..., train_batch: _Optional[int] = ..., infer_batch: _Optional[int] = ..., first_train_milliseconds: _Optional[float] = ..., first_infer_milliseconds: _Optional[float] = ..., median_train_milliseconds: _Optional[float] = ..., lower_train_milliseconds: _Optional[float] = ..., upper_train_milliseconds: _Optional[float] = ..., median_infer_milliseconds: _Optional[float] = ..., lower_infer_milliseconds: _Optional[float] = ..., upper_infer_milliseconds: _Optional[float] = ..., save_milliseconds: _Optional[float] = ..., restore_milliseconds: _Optional[float] = ..., accelerator: _Optional[str] = ...) -> None: ...
