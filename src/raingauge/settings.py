"""Every knob in one table: name, default, unit, help, check.

The table feeds the command line (`--queue-max-bytes`), the environment (`RAINGAUGE_QUEUE_MAX_BYTES`), the
settings page of the docs, and the error that names a bad value. A contract's own knobs stand in its folder and
join the table through the list of contracts. Values are read once at start and then frozen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from raingauge.errors import SettingError

T = TypeVar("T", bound=str | int | float | bool)

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
PREFIX: Final = "RAINGAUGE_"

Check: TypeAlias = Callable[[Any], str | None]
"""Takes the parsed value; gives what is wrong with it, or None."""


def positive(value: float) -> str | None:
    return None if value > 0 else "must be greater than 0"


def not_negative(value: float) -> str | None:
    return None if value >= 0 else "must be 0 or greater"


def port_number(value: int) -> str | None:
    return None if 0 <= value <= 65_535 else "must be a port number, 0 to 65535"


def _lifetime_days(value: float) -> str | None:
    return None if 0 < value <= 36_500 else "must be greater than 0 and at most 36500"


def one_of(*allowed: str) -> Check:
    return lambda value: None if value in allowed else f"must be one of: {', '.join(allowed)}"


@dataclass(frozen=True, slots=True, eq=False)
class Knob(Generic[T]):
    """One setting. Its type is the type of its default.

    `name` is snake_case with the unit at its end where it has one; `unit` is for people ("bytes", "seconds");
    `secret` values are never shown by `doctor`, logs or the system page.
    """

    name: str
    default: T
    help: str
    unit: str = ""
    check: Check | None = None
    secret: bool = False

    @property
    def env(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    def parse(self, text: str) -> T:
        """The value that `text` stands for. Raises SettingError naming the key and the value."""
        kind = type(self.default)
        try:
            if kind is bool:
                return cast(T, _BOOLEANS[text.strip().lower()])
            return kind(text.strip())
        except (ValueError, KeyError):
            expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
            raise SettingError(f"{self.env}={self.shown(text)}: expected {expected}") from None

    def checked(self, value: T) -> T:
        """`value` itself. Raises SettingError when the knob's check refuses it."""
        problem = self.check(value) if self.check else None
        if problem:
            raise SettingError(f"{self.env}={self.shown(value)}: {problem}")
        return value

    def shown(self, value: object) -> str:
        return "(hidden)" if self.secret else repr(value)


_BOOLEANS: Final = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip


class Settings:
    """Frozen values of all knobs: `settings[QUEUE_MAX_BYTES]` has the knob's type.

    A knob that was not part of the table gives its default, so a contract can be tested with `Settings()`.
    """

    def __init__(self, values: Mapping[str, str | int | float | bool] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, knob: Knob[T]) -> T:
        return cast(T, self._values.get(knob.name, knob.default))

    @property
    def data_dir(self) -> Path:
        return Path(self[DATA_DIR]).absolute()


def load(
    knobs: Iterable[Knob[Any]],
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from command-line options, else the environment, else defaults.

    `options` maps knob names to parsed values; None means "not given". Raises SettingError for the first bad
    value and for a `RAINGAUGE_` variable that no knob has, because a misspelt limit is no limit.
    """
    environment = os.environ if environment is None else environment
    options = options or {}
    table = {knob.name: knob for knob in knobs}
    known = {knob.env for knob in table.values()}
    for key in sorted(environment):
        if key.startswith(PREFIX) and key not in known:
            raise SettingError(f"{key}: no such setting")
    values: dict[str, str | int | float | bool] = {}
    for name, knob in table.items():
        given = options.get(name)
        if given is not None:
            values[name] = knob.checked(given)
        elif (text := environment.get(knob.env)) is not None:
            values[name] = knob.checked(knob.parse(text))
    return Settings(values)


# ---- where and how to listen -------------------------------------------------------------------------------

HOST = Knob("host", "127.0.0.1", "Address to listen on.")
PORT = Knob("port", 4318, "Port to listen on; 0 takes a free one.", check=port_number)
GRPC_PORT = Knob(
    "grpc_port",
    0,
    "Port of the gRPC server (flag logs of Confidence's Python, Go and Java providers; OTLP/gRPC, usually 4317); 0 is "
    "none. Needs the extra: pip install 'raingauge[grpc]'.",
    check=port_number,
)
DATA_DIR = Knob("data_dir", "./raingauge-data", "Directory that holds everything this server keeps.")
PUBLIC_URL = Knob(
    "public_url", "", "The address clients use, when it is not http://HOST:PORT (for links and connect snippets)."
)
TRUSTED_PROXIES = Knob(
    "trusted_proxies", "", "Comma-separated addresses or networks whose X-Forwarded-For and -Proto are believed."
)
CORS_ORIGINS = Knob(
    "cors_origins",
    "https://dashboard.loopgain.ai,http://localhost:5173,http://127.0.0.1:5173,"
    "http://localhost:4173,http://127.0.0.1:4173",
    "Comma-separated origins whose pages may read the API.",
)

# ---- what is kept where ------------------------------------------------------------------------------------

DATABASE_URL = Knob(
    "database_url", "", "Control data as a SQLAlchemy URL; empty is SQLite in the data directory.", secret=True
)
STORE_URL = Knob("store_url", "", "Facts as chdb:// or https:// URL; empty is chDB in the data directory.", secret=True)
MASTER_KEY = Knob(
    "master_key",
    "",
    "32 bytes in base64 that wrap all other keys; empty keeps a generated one in the data directory.",
    secret=True,
)

# ---- the receive path --------------------------------------------------------------------------------------

BODY_MAX_BYTES = Knob("body_max_bytes", 16 * MIB, "Largest request body, as sent.", "bytes", positive)
BODY_MAX_DECOMPRESSED_BYTES = Knob(
    "body_max_decompressed_bytes", 64 * MIB, "Largest request body after decompression.", "bytes", positive
)
BODIES_MAX_BYTES = Knob(
    "bodies_max_bytes",
    256 * MIB,
    "Memory for request bodies that are being received; beyond it the answer is 503.",
    "bytes",
    positive,
)
BODY_TIMEOUT_SECONDS = Knob("body_timeout_seconds", 30.0, "Longest wait for a whole body.", "seconds", positive)
RATE_PER_TOKEN = Knob("rate_per_token", 0, "Requests per minute for one token; 0 is no limit.", "1/min", not_negative)
RATE_PER_IP = Knob(
    "rate_per_ip", 0, "Requests per minute for one client address; 0 is no limit.", "1/min", not_negative
)
FAILED_AUTH_PER_IP = Knob(
    "failed_auth_per_ip",
    60,
    "Refused credentials per minute for one client address; 0 is no limit.",
    "1/min",
    not_negative,
)
PUBLIC_CUSTOMER = Knob("public_customer", "", "Customer whose rows clients without a credential write.")

# ---- the queue ---------------------------------------------------------------------------------------------

QUEUE_MAX_BYTES = Knob(
    "queue_max_bytes", 2 * GIB, "Answer 503 once this much is waiting to be decoded.", "bytes", positive
)
QUEUE_MAX_AGE_SECONDS = Knob(
    "queue_max_age_seconds", 3_600.0, "Answer 503 once the oldest waiting message is older.", "seconds", positive
)
QUEUE_KEY_SECONDS = Knob(
    "queue_key_seconds", 3_600.0, "How long one data key encrypts new messages.", "seconds", positive
)
QUEUE_TRIES = Knob("queue_tries", 3, "Tries before a message is dead-lettered.", "", positive)
DEAD_LETTER_DAYS = Knob("dead_letter_days", 7.0, "How long dead letters are kept.", "days", positive)

# ---- decoding and the store --------------------------------------------------------------------------------

DECODE_WORKERS = Knob("decode_workers", 1, "Processes that decode; 0 decodes in the server.", "", not_negative)
DECODE_TIMEOUT_SECONDS = Knob(
    "decode_timeout_seconds", 30.0, "Longest time one batch may take to decode.", "seconds", positive
)
STORE_MEMORY_BYTES = Knob("store_memory_bytes", 2 * GIB, "Memory the embedded store may use.", "bytes", positive)
QUERY_MEMORY_BYTES = Knob("query_memory_bytes", 1 * GIB, "Memory one read may use.", "bytes", positive)
QUERY_TIMEOUT_SECONDS = Knob("query_timeout_seconds", 15.0, "Longest time one read may take.", "seconds", positive)
QUERY_MAX_ROWS = Knob("query_max_rows", 100_000, "Most rows one read may return.", "rows", positive)
QUERY_SUMS_MAX_ROWS = Knob(
    "query_sums_max_rows", 1_000_000, "Most rows one statement may bring that a read sums up further.", "rows", positive
)
QUERY_REMEMBERED_BYTES = Knob(
    "query_remembered_bytes",
    64 * MIB,
    "Memory for what reads found, kept as long as it holds for whoever asks the same; 0 keeps nothing.",
    "bytes",
    not_negative,
)
READERS = Knob("readers", 2, "Reads that may run at the same time.", "", positive)
ROLLUP_SECONDS = Knob("rollup_seconds", 900.0, "Time between two roll-up runs; 0 is never.", "seconds", not_negative)
REJECT_DAYS = Knob("reject_days", 30, "How long reasons of rejected items are kept.", "days", positive)

# ---- signing in --------------------------------------------------------------------------------------------

SIGNIN_LINK_SECONDS = Knob(
    "signin_link_seconds", 900.0, "How long a one-time sign-in link can be used.", "seconds", positive
)
SESSION_DAYS = Knob("session_days", 30.0, "How long a sign-in lasts at most.", "days", _lifetime_days)
SESSION_IDLE_DAYS = Knob(
    "session_idle_days", 7.0, "How long a sign-in lasts without being used.", "days", _lifetime_days
)
ACCESS_ISSUER = Knob(
    "access_issuer",
    "",
    "Issuer of the JWTs by which members sign in: Cloudflare Access (https://<team>.cloudflareaccess.com) or any "
    "OpenID Connect provider. Empty is none; then the audience and the keys' address are empty too.",
)
ACCESS_AUDIENCE = Knob("access_audience", "", "The audience these JWTs must be for; of Access the application's tag.")
ACCESS_JWKS_URL = Knob(
    "access_jwks_url",
    "",
    "Where the issuer publishes its keys; of Access https://<team>.cloudflareaccess.com/cdn-cgi/access/certs.",
)

# ---- operation ---------------------------------------------------------------------------------------------

LOG_LEVEL = Knob(
    "log_level", "info", "Least important lines to log.", check=one_of("debug", "info", "warning", "error")
)
LOG_FORMAT = Knob(
    "log_format", "auto", "auto is text on a terminal and JSON elsewhere.", check=one_of("auto", "json", "text")
)
DRAIN_SECONDS = Knob(
    "drain_seconds", 5.0, "How long SIGTERM lets waiting messages be stored before it stops.", "seconds", not_negative
)

CORE_KNOBS: Final[tuple[Knob[Any], ...]] = (
    HOST, PORT, GRPC_PORT, DATA_DIR, PUBLIC_URL, TRUSTED_PROXIES, CORS_ORIGINS,
    DATABASE_URL, STORE_URL, MASTER_KEY,
    BODY_MAX_BYTES, BODY_MAX_DECOMPRESSED_BYTES, BODIES_MAX_BYTES, BODY_TIMEOUT_SECONDS,
    RATE_PER_TOKEN, RATE_PER_IP, FAILED_AUTH_PER_IP, PUBLIC_CUSTOMER,
    QUEUE_MAX_BYTES, QUEUE_MAX_AGE_SECONDS, QUEUE_KEY_SECONDS, QUEUE_TRIES, DEAD_LETTER_DAYS,
    DECODE_WORKERS, DECODE_TIMEOUT_SECONDS, STORE_MEMORY_BYTES, QUERY_MEMORY_BYTES, QUERY_TIMEOUT_SECONDS,
    QUERY_MAX_ROWS, QUERY_SUMS_MAX_ROWS, QUERY_REMEMBERED_BYTES, READERS, ROLLUP_SECONDS, REJECT_DAYS,
    SIGNIN_LINK_SECONDS, SESSION_DAYS, SESSION_IDLE_DAYS, ACCESS_ISSUER, ACCESS_AUDIENCE, ACCESS_JWKS_URL,
    LOG_LEVEL, LOG_FORMAT, DRAIN_SECONDS,
)  # fmt: skip
"""Every knob of the spine; contracts add theirs through `Contract.knobs`."""
