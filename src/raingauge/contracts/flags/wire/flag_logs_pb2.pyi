from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOLVE_REASON_UNSPECIFIED: _ClassVar[ResolveReason]
    RESOLVE_REASON_MATCH: _ClassVar[ResolveReason]
    RESOLVE_REASON_NO_SEGMENT_MATCH: _ClassVar[ResolveReason]
    RESOLVE_REASON_NO_TREATMENT_MATCH: _ClassVar[ResolveReason]
    RESOLVE_REASON_FLAG_ARCHIVED: _ClassVar[ResolveReason]
    RESOLVE_REASON_TARGETING_KEY_ERROR: _ClassVar[ResolveReason]
    RESOLVE_REASON_ERROR: _ClassVar[ResolveReason]
    RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE: _ClassVar[ResolveReason]
    RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED: _ClassVar[ResolveReason]
    RESOLVE_REASON_TYPE_MISMATCH: _ClassVar[ResolveReason]
    RESOLVE_REASON_FLAG_NOT_FOUND: _ClassVar[ResolveReason]
    RESOLVE_REASON_BUNDLE: _ClassVar[ResolveReason]

class SdkId(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SDK_ID_UNSPECIFIED: _ClassVar[SdkId]
    SDK_ID_JAVA_PROVIDER: _ClassVar[SdkId]
    SDK_ID_KOTLIN_PROVIDER: _ClassVar[SdkId]
    SDK_ID_SWIFT_PROVIDER: _ClassVar[SdkId]
    SDK_ID_JS_WEB_PROVIDER: _ClassVar[SdkId]
    SDK_ID_JS_SERVER_PROVIDER: _ClassVar[SdkId]
    SDK_ID_PYTHON_PROVIDER: _ClassVar[SdkId]
    SDK_ID_GO_PROVIDER: _ClassVar[SdkId]
    SDK_ID_RUBY_PROVIDER: _ClassVar[SdkId]
    SDK_ID_RUST_PROVIDER: _ClassVar[SdkId]
    SDK_ID_JAVA_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_KOTLIN_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_SWIFT_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_JS_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_PYTHON_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_GO_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_RUST_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_FLUTTER_IOS_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_FLUTTER_ANDROID_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_DOTNET_CONFIDENCE: _ClassVar[SdkId]
    SDK_ID_GO_LOCAL_PROVIDER: _ClassVar[SdkId]
    SDK_ID_JAVA_LOCAL_PROVIDER: _ClassVar[SdkId]
    SDK_ID_JS_LOCAL_SERVER_PROVIDER: _ClassVar[SdkId]
    SDK_ID_PYTHON_LOCAL_PROVIDER: _ClassVar[SdkId]
    SDK_ID_RUST_LOCAL_PROVIDER: _ClassVar[SdkId]
    SDK_ID_CLOUDFLARE_RESOLVER: _ClassVar[SdkId]
RESOLVE_REASON_UNSPECIFIED: ResolveReason
RESOLVE_REASON_MATCH: ResolveReason
RESOLVE_REASON_NO_SEGMENT_MATCH: ResolveReason
RESOLVE_REASON_NO_TREATMENT_MATCH: ResolveReason
RESOLVE_REASON_FLAG_ARCHIVED: ResolveReason
RESOLVE_REASON_TARGETING_KEY_ERROR: ResolveReason
RESOLVE_REASON_ERROR: ResolveReason
RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE: ResolveReason
RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED: ResolveReason
RESOLVE_REASON_TYPE_MISMATCH: ResolveReason
RESOLVE_REASON_FLAG_NOT_FOUND: ResolveReason
RESOLVE_REASON_BUNDLE: ResolveReason
SDK_ID_UNSPECIFIED: SdkId
SDK_ID_JAVA_PROVIDER: SdkId
SDK_ID_KOTLIN_PROVIDER: SdkId
SDK_ID_SWIFT_PROVIDER: SdkId
SDK_ID_JS_WEB_PROVIDER: SdkId
SDK_ID_JS_SERVER_PROVIDER: SdkId
SDK_ID_PYTHON_PROVIDER: SdkId
SDK_ID_GO_PROVIDER: SdkId
SDK_ID_RUBY_PROVIDER: SdkId
SDK_ID_RUST_PROVIDER: SdkId
SDK_ID_JAVA_CONFIDENCE: SdkId
SDK_ID_KOTLIN_CONFIDENCE: SdkId
SDK_ID_SWIFT_CONFIDENCE: SdkId
SDK_ID_JS_CONFIDENCE: SdkId
SDK_ID_PYTHON_CONFIDENCE: SdkId
SDK_ID_GO_CONFIDENCE: SdkId
SDK_ID_RUST_CONFIDENCE: SdkId
SDK_ID_FLUTTER_IOS_CONFIDENCE: SdkId
SDK_ID_FLUTTER_ANDROID_CONFIDENCE: SdkId
SDK_ID_DOTNET_CONFIDENCE: SdkId
SDK_ID_GO_LOCAL_PROVIDER: SdkId
SDK_ID_JAVA_LOCAL_PROVIDER: SdkId
SDK_ID_JS_LOCAL_SERVER_PROVIDER: SdkId
SDK_ID_PYTHON_LOCAL_PROVIDER: SdkId
SDK_ID_RUST_LOCAL_PROVIDER: SdkId
SDK_ID_CLOUDFLARE_RESOLVER: SdkId

class FlagLogs(_message.Message):
    __slots__ = ("flag_assigned", "telemetry_data", "flag_resolve_info")
    FLAG_ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_DATA_FIELD_NUMBER: _ClassVar[int]
    FLAG_RESOLVE_INFO_FIELD_NUMBER: _ClassVar[int]
    flag_assigned: _containers.RepeatedScalarFieldContainer[bytes]
    telemetry_data: _containers.RepeatedScalarFieldContainer[bytes]
    flag_resolve_info: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, flag_assigned: _Optional[_Iterable[bytes]] = ..., telemetry_data: _Optional[_Iterable[bytes]] = ..., flag_resolve_info: _Optional[_Iterable[bytes]] = ...) -> None: ...

class IngestFlagLogs(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, batch: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FlagAssigned(_message.Message):
    __slots__ = ("client_info", "resolve_id", "flags")
    CLIENT_INFO_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_ID_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    client_info: ClientInfo
    resolve_id: str
    flags: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, client_info: _Optional[_Union[ClientInfo, _Mapping]] = ..., resolve_id: _Optional[str] = ..., flags: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ClientInfo(_message.Message):
    __slots__ = ("client", "client_credential", "sdk")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    client: str
    client_credential: str
    sdk: Sdk
    def __init__(self, client: _Optional[str] = ..., client_credential: _Optional[str] = ..., sdk: _Optional[_Union[Sdk, _Mapping]] = ...) -> None: ...

class AppliedFlag(_message.Message):
    __slots__ = ("flag", "targeting_key", "targeting_key_selector", "assignment_info", "default_assignment", "assignment_id", "rule", "fallthrough_assignments", "apply_time")
    FLAG_FIELD_NUMBER: _ClassVar[int]
    TARGETING_KEY_FIELD_NUMBER: _ClassVar[int]
    TARGETING_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_INFO_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FALLTHROUGH_ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    APPLY_TIME_FIELD_NUMBER: _ClassVar[int]
    flag: str
    targeting_key: str
    targeting_key_selector: str
    assignment_info: AssignmentInfo
    default_assignment: DefaultAssignment
    assignment_id: str
    rule: str
    fallthrough_assignments: _containers.RepeatedCompositeFieldContainer[FallthroughAssignment]
    apply_time: _timestamp_pb2.Timestamp
    def __init__(self, flag: _Optional[str] = ..., targeting_key: _Optional[str] = ..., targeting_key_selector: _Optional[str] = ..., assignment_info: _Optional[_Union[AssignmentInfo, _Mapping]] = ..., default_assignment: _Optional[_Union[DefaultAssignment, _Mapping]] = ..., assignment_id: _Optional[str] = ..., rule: _Optional[str] = ..., fallthrough_assignments: _Optional[_Iterable[_Union[FallthroughAssignment, _Mapping]]] = ..., apply_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AssignmentInfo(_message.Message):
    __slots__ = ("segment", "variant")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    segment: str
    variant: str
    def __init__(self, segment: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class DefaultAssignment(_message.Message):
    __slots__ = ("reason",)
    class DefaultAssignmentReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DEFAULT_ASSIGNMENT_REASON_UNSPECIFIED: _ClassVar[DefaultAssignment.DefaultAssignmentReason]
        DEFAULT_ASSIGNMENT_REASON_NO_SEGMENT_MATCH: _ClassVar[DefaultAssignment.DefaultAssignmentReason]
        DEFAULT_ASSIGNMENT_REASON_NO_TREATMENT_MATCH: _ClassVar[DefaultAssignment.DefaultAssignmentReason]
        DEFAULT_ASSIGNMENT_REASON_FLAG_ARCHIVED: _ClassVar[DefaultAssignment.DefaultAssignmentReason]
    DEFAULT_ASSIGNMENT_REASON_UNSPECIFIED: DefaultAssignment.DefaultAssignmentReason
    DEFAULT_ASSIGNMENT_REASON_NO_SEGMENT_MATCH: DefaultAssignment.DefaultAssignmentReason
    DEFAULT_ASSIGNMENT_REASON_NO_TREATMENT_MATCH: DefaultAssignment.DefaultAssignmentReason
    DEFAULT_ASSIGNMENT_REASON_FLAG_ARCHIVED: DefaultAssignment.DefaultAssignmentReason
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: DefaultAssignment.DefaultAssignmentReason
    def __init__(self, reason: _Optional[_Union[DefaultAssignment.DefaultAssignmentReason, str]] = ...) -> None: ...

class FallthroughAssignment(_message.Message):
    __slots__ = ("rule", "assignment_id")
    RULE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    rule: str
    assignment_id: str
    def __init__(self, rule: _Optional[str] = ..., assignment_id: _Optional[str] = ...) -> None: ...

class TelemetryData(_message.Message):
    __slots__ = ("sdk", "resolve_latency", "resolve_rate", "state_age", "memory_bytes", "resolver_version", "provider_init_rate", "apply_dedup", "flush", "events")
    SDK_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_RATE_FIELD_NUMBER: _ClassVar[int]
    STATE_AGE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESOLVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_INIT_RATE_FIELD_NUMBER: _ClassVar[int]
    APPLY_DEDUP_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    sdk: Sdk
    resolve_latency: ResolveLatency
    resolve_rate: _containers.RepeatedCompositeFieldContainer[ResolveRate]
    state_age: StateAge
    memory_bytes: int
    resolver_version: str
    provider_init_rate: _containers.RepeatedCompositeFieldContainer[ProviderInitRate]
    apply_dedup: ApplyDedup
    flush: Flush
    events: Events
    def __init__(self, sdk: _Optional[_Union[Sdk, _Mapping]] = ..., resolve_latency: _Optional[_Union[ResolveLatency, _Mapping]] = ..., resolve_rate: _Optional[_Iterable[_Union[ResolveRate, _Mapping]]] = ..., state_age: _Optional[_Union[StateAge, _Mapping]] = ..., memory_bytes: _Optional[int] = ..., resolver_version: _Optional[str] = ..., provider_init_rate: _Optional[_Iterable[_Union[ProviderInitRate, _Mapping]]] = ..., apply_dedup: _Optional[_Union[ApplyDedup, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., events: _Optional[_Union[Events, _Mapping]] = ...) -> None: ...

class Sdk(_message.Message):
    __slots__ = ("id", "custom_id", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: SdkId
    custom_id: str
    version: str
    def __init__(self, id: _Optional[_Union[SdkId, str]] = ..., custom_id: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ResolveLatency(_message.Message):
    __slots__ = ("sum", "count", "buckets", "ln_ratio")
    SUM_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    LN_RATIO_FIELD_NUMBER: _ClassVar[int]
    sum: int
    count: int
    buckets: _containers.RepeatedCompositeFieldContainer[BucketSpan]
    ln_ratio: float
    def __init__(self, sum: _Optional[int] = ..., count: _Optional[int] = ..., buckets: _Optional[_Iterable[_Union[BucketSpan, _Mapping]]] = ..., ln_ratio: _Optional[float] = ...) -> None: ...

class BucketSpan(_message.Message):
    __slots__ = ("offset", "counts")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    offset: int
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, offset: _Optional[int] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class ResolveRate(_message.Message):
    __slots__ = ("count", "reason")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    count: int
    reason: ResolveReason
    def __init__(self, count: _Optional[int] = ..., reason: _Optional[_Union[ResolveReason, str]] = ...) -> None: ...

class StateAge(_message.Message):
    __slots__ = ("last_state_update",)
    LAST_STATE_UPDATE_FIELD_NUMBER: _ClassVar[int]
    last_state_update: int
    def __init__(self, last_state_update: _Optional[int] = ...) -> None: ...

class ProviderInitRate(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ApplyDedup(_message.Message):
    __slots__ = ("applies_total", "applies_deduped", "apply_dedup_overflow", "sweeps", "map_size", "map_capacity")
    APPLIES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    APPLIES_DEDUPED_FIELD_NUMBER: _ClassVar[int]
    APPLY_DEDUP_OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    SWEEPS_FIELD_NUMBER: _ClassVar[int]
    MAP_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAP_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    applies_total: int
    applies_deduped: int
    apply_dedup_overflow: int
    sweeps: int
    map_size: int
    map_capacity: int
    def __init__(self, applies_total: _Optional[int] = ..., applies_deduped: _Optional[int] = ..., apply_dedup_overflow: _Optional[int] = ..., sweeps: _Optional[int] = ..., map_size: _Optional[int] = ..., map_capacity: _Optional[int] = ...) -> None: ...

class Flush(_message.Message):
    __slots__ = ("succeeded", "failed")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    succeeded: int
    failed: int
    def __init__(self, succeeded: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("published", "batches_succeeded", "batches_failed", "events_rejected")
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FAILED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_REJECTED_FIELD_NUMBER: _ClassVar[int]
    published: int
    batches_succeeded: int
    batches_failed: int
    events_rejected: int
    def __init__(self, published: _Optional[int] = ..., batches_succeeded: _Optional[int] = ..., batches_failed: _Optional[int] = ..., events_rejected: _Optional[int] = ...) -> None: ...

class FlagResolveInfo(_message.Message):
    __slots__ = ("flag", "variant_resolve_info", "rule_resolve_info")
    FLAG_FIELD_NUMBER: _ClassVar[int]
    VARIANT_RESOLVE_INFO_FIELD_NUMBER: _ClassVar[int]
    RULE_RESOLVE_INFO_FIELD_NUMBER: _ClassVar[int]
    flag: str
    variant_resolve_info: _containers.RepeatedCompositeFieldContainer[VariantResolveInfo]
    rule_resolve_info: _containers.RepeatedCompositeFieldContainer[RuleResolveInfo]
    def __init__(self, flag: _Optional[str] = ..., variant_resolve_info: _Optional[_Iterable[_Union[VariantResolveInfo, _Mapping]]] = ..., rule_resolve_info: _Optional[_Iterable[_Union[RuleResolveInfo, _Mapping]]] = ...) -> None: ...

class VariantResolveInfo(_message.Message):
    __slots__ = ("variant", "count")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    variant: str
    count: int
    def __init__(self, variant: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class RuleResolveInfo(_message.Message):
    __slots__ = ("rule", "count", "assignment_resolve_info")
    RULE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_RESOLVE_INFO_FIELD_NUMBER: _ClassVar[int]
    rule: str
    count: int
    assignment_resolve_info: _containers.RepeatedCompositeFieldContainer[AssignmentResolveInfo]
    def __init__(self, rule: _Optional[str] = ..., count: _Optional[int] = ..., assignment_resolve_info: _Optional[_Iterable[_Union[AssignmentResolveInfo, _Mapping]]] = ...) -> None: ...

class AssignmentResolveInfo(_message.Message):
    __slots__ = ("assignment_id", "count")
    ASSIGNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    assignment_id: str
    count: int
    def __init__(self, assignment_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
