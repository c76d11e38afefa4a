"""Every setting of the service: frozen, validated before anything starts, each with a description.

Values come from environment variables named `VOUCH_` and the field in capitals; `docs/settings.md` is this file as a
table. A variable of that prefix that is no setting stops the start: a misspelt limit must not be a limit ignored.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator

from app.errors import SettingsError
from app.logs import LogFormat
from model.decision import ReplayPolicy

PREFIX = "VOUCH_"
DEFAULT_BUNDLE = Path("bundles/default")
N_BYTES_PER_MB = 1024 * 1024
CLIENT_VARIABLES = frozenset({"VOUCH_API_KEY", "VOUCH_URL"})
"""What commands that call a service read. They may stand beside a service's own."""
_SERVICE_LINK = re.compile(r"VOUCH_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
"""What Kubernetes sets in every pod beside a Service named `vouch`; `VOUCH_PORT` is one of them too."""

Sha256 = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def usable_cores() -> int:
    """Cores this process may use: its affinity, and a container's CPU quota where there is one."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        allowed, _, period = quota.read_text(encoding="ascii").strip().partition(" ")
        if allowed != "max":
            n_cores = min(n_cores, math.ceil(int(allowed) / int(period)))
    return max(1, n_cores)


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine. A port is not part of it."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseModel):
    """Built by `load_settings`; tests build it directly, and then no environment variable reaches it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    allow_keyless: bool = Field(
        False,
        description="Lets a service without keys listen beyond loopback and answer to any `Host`; whoever reaches it "
        "may then enrol, verify and erase. A warning is logged.",
    )
    bootstrap_key_file: Path | None = Field(
        None,
        description="Where a service that listens beyond loopback and has no API keys writes a first one, with every "
        "scope, instead of refusing to start.",
    )
    rate_limit_per_minute: int = Field(
        6000, ge=0, le=1_000_000, description="Calls a minute with one key; past it 429. 0: no limit."
    )
    verify_limit_per_minute: int = Field(
        30,
        ge=0,
        le=1_000_000,
        description="Verifications of one speaker a minute with one key; past it 429. 0: no limit.",
    )
    data_dir: Path = Field(Path("data"), description="Where the embedded store and everything else it writes live.")
    database_url: str | None = Field(
        None,
        description="`postgresql+psycopg://user:password@host/database`, for any number of replicas. Without one: SQLite, "
        "`vouch.db` in the data directory, for one process.",
    )
    database_pool: int = Field(
        16, ge=2, le=1000, description="Connections to PostgreSQL that one replica may hold at once."
    )
    database_timeout_s: Finite = Field(
        10.0,
        gt=0,
        le=600,
        description="Longest that PostgreSQL may take for a connection, a lock or a statement, in seconds; past it callers "
        "get 503.",
    )
    gallery: Literal["auto", "pgvector", "faiss"] = Field(
        "auto",
        description="Where identification searches: `pgvector`, in PostgreSQL, where the references then lie unsealed; "
        "`faiss`, in the memory of each replica, all of them sealed in the database; `auto`, pgvector on PostgreSQL and FAISS on "
        "SQLite.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="The key under which the database's secrets are sealed: 32 random bytes in base64 (`openssl rand "
        "-base64 32`). It may be several, apart by spaces: the first one seals, each opens.",
    )
    master_key_file: Path | None = Field(
        None,
        description="A file that holds the master key, where VOUCH_MASTER_KEY does not. Without either: `master.key` in the "
        "data directory, made at the first start.",
    )
    bundle: Path = Field(
        DEFAULT_BUNDLE,
        description="Folder of the encoder's bundle. The default is looked for in the working directory, then beside "
        "the program.",
    )
    bundle_sha256: Sha256 | None = Field(
        None, description="SHA-256 that `bundle.json` must have; another bundle stops the start."
    )
    device: Device = Field("auto", description="`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.")
    engine: Literal["auto", "torchscript", "onnxruntime"] = Field(
        "auto",
        description="What runs the encoder on the CPU: `torchscript`, `onnxruntime`, or `auto`, the fastest of them that "
        "gives TorchScript's embeddings. CUDA runs TorchScript.",
    )
    max_audio_s: Finite = Field(120.0, gt=0, le=3600, description="Longest clip accepted, in seconds.")
    max_upload_mb: Finite = Field(
        25.0,
        gt=0,
        le=1024,
        description="Largest file accepted, in MiB. A whole request may hold twice that.",
    )
    max_clips: int = Field(10, ge=1, le=100, description="Most files in one enroll call.")
    upload_memory_mb: Finite = Field(
        512.0,
        gt=0,
        description="Memory for uploads in flight, in MiB, all requests together; past it callers get 503.",
    )
    workers: int = Field(
        default_factory=usable_cores,
        ge=1,
        le=256,
        description="Cores that decode and encode; each has two threads, so that one computes while the other waits.",
    )
    queue_size: int = Field(
        32, ge=0, le=10_000, description="Requests that may wait for a worker; past it callers get 503."
    )
    max_wait_s: Finite = Field(
        10.0,
        gt=0,
        le=600,
        description="Longest that a request waits for a worker, in seconds; past it callers get 503.",
    )
    drain_s: Finite = Field(
        5.0,
        ge=0,
        le=600,
        description="How long after SIGTERM new calls are still taken, in seconds, while `/readyz` is 503: longer than a "
        "balancer takes to notice.",
    )
    min_speech_s: Finite = Field(
        1.0,
        gt=0,
        le=60,
        description="Net speech, in seconds, under which a probe is `inconclusive` and a clip is not enrolled.",
    )
    enroll_min_speech_s: Finite = Field(
        5.0, gt=0, le=600, description="Net speech, in seconds over all clips, that makes a speaker `enrolled`."
    )
    enroll_min_llr: Finite = Field(
        -2.0,
        description="Natural-log likelihood ratio under which a clip is refused as another voice than the speaker's "
        "other clips; a very negative one switches that off.",
    )
    min_snr_db: Finite = Field(
        3.0,
        ge=-20,
        le=60,
        description="Signal-to-noise ratio, in dB, under which a probe is `inconclusive` and a clip is not enrolled.",
    )
    operating_point: str = Field(
        "eer", min_length=1, description="Threshold used where a request names none; one of the bundle's."
    )
    prior: float = Field(
        0.5, gt=0, lt=1, description="Prior probability of one speaker, behind `probability`; it moves no decision."
    )
    identify_margin: Finite = Field(
        2.0, ge=0, description="Natural-log likelihood ratio by which the best candidate must lead the second."
    )
    replay_policy: ReplayPolicy = Field(
        "flag",
        description="What becomes of a recording that was heard before: `flag` says so and decides as ever, `refuse` rejects "
        "it, and does not enrol it.",
    )
    replay_kept_clips: int = Field(
        50,
        ge=0,
        le=1000,
        description="Verified clips of each speaker, the latest, by which one that is sent again is known; enrolled ones "
        "always are. 0: nothing is kept, and nothing flagged.",
    )
    gallery_exact_up_to: int = Field(
        1_000_000,
        ge=1000,
        description="Speakers of one tenant up to whom identification compares with everybody; beyond, it builds an "
        "inverted index that finds the same best candidate.",
    )
    audit_days: int = Field(
        365, ge=0, le=36500, description="Days that the audit trail is kept, in whole days; 0: for good."
    )
    console: bool = Field(True, description="Serves the console, a web page for people, at `/`.")
    embeddings_enabled: bool = Field(False, description="Switches on `POST /v1/embeddings`, which is 403 otherwise.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line to log: `debug`, `info`, `warning` or `error`."
    )
    log_format: LogFormat = Field(
        "text", description="How lines are written: `text`, for people, or `json`, one object a line."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.enroll_min_speech_s < self.min_speech_s:
            raise ValueError(
                f"VOUCH_ENROLL_MIN_SPEECH_S is {self.enroll_min_speech_s:g}; it must be at least VOUCH_MIN_SPEECH_S, "
                f"which is {self.min_speech_s:g}"
            )
        if self.max_audio_s < self.min_speech_s:
            raise ValueError(
                f"VOUCH_MAX_AUDIO_S is {self.max_audio_s:g}; it must be at least VOUCH_MIN_SPEECH_S, which is "
                f"{self.min_speech_s:g}"
            )
        if self.upload_memory_mb < 2 * self.max_upload_mb:
            raise ValueError(
                f"VOUCH_UPLOAD_MEMORY_MB is {self.upload_memory_mb:g}; it must be at least twice VOUCH_MAX_UPLOAD_MB, "
                f"which is {self.max_upload_mb:g}, or no full request fits"
            )
        if self.master_key is not None and self.master_key_file is not None:
            raise ValueError("VOUCH_MASTER_KEY and VOUCH_MASTER_KEY_FILE are both set; set one of them")
        return self

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * N_BYTES_PER_MB)

    @property
    def store_url(self) -> str:
        """The database: as set, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'vouch.db'}"

    @property
    def bundle_path(self) -> Path:
        """The bundle's folder. The default one may also stand beside the package, where the sources are."""
        if self.bundle == DEFAULT_BUNDLE and not self.bundle.exists():
            return Path(__file__).resolve().parent.parent / DEFAULT_BUNDLE
        return self.bundle


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment (or another mapping). An empty value counts as unset.

    Raises SettingsError for a `VOUCH_` name that is no setting, and for a value that is not allowed.
    """
    found = {name: value for name, value in (os.environ if environ is None else environ).items() if value.strip()}
    fields = {variable(field): field for field in Settings.model_fields}
    if found.get(variable("port"), "").strip().startswith("tcp://"):
        raise SettingsError(
            _service_link(f"{variable('port')} is {found[variable('port')]!r}, which is no port number.")
        )
    for name in sorted(found):
        if name.startswith(PREFIX) and name not in fields and name not in CLIENT_VARIABLES:
            raise SettingsError(_unknown(name, list(fields)))
    try:
        return Settings.model_validate({field: found[name].strip() for name, field in fields.items() if name in found})
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(dict(detail)) for detail in error.errors())) from error


def _unknown(name: str, known: list[str]) -> str:
    if _SERVICE_LINK.fullmatch(name):
        return _service_link(f"{name} is no setting of this service.")
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"Did you mean {close[0]}?" if close else f"The settings are: {', '.join(known)}."
    return f"{name} is no setting of this service. {hint}"


def _service_link(what: str) -> str:
    return (
        f"{what} Kubernetes sets it for a Service named `vouch`. Set `enableServiceLinks: false` in the pod's spec, or "
        "give the Service another name."
    )


def _sentence(detail: dict[str, object]) -> str:
    location, message = detail["loc"], str(detail["msg"]).removeprefix("Value error, ")
    if not isinstance(location, tuple) or not location:
        return f"{message}."
    return f"{variable(str(location[0]))} is {detail['input']!r}: {message[:1].lower()}{message[1:]}."
