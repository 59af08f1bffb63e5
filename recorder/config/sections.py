"""The sections of the settings, one frozen model each."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from recorder.config.database_url import check_database_url, redacted
from recorder.config.duration import Duration, format_duration
from recorder.config.problem import InvalidSetting
from recorder.config.secret import Secret
from recorder.config.size import Size, format_size
from recorder.domain.slot import divides_a_day

_LONGEST_NAME = 64
_SMALLEST_SPOOL = 1024**2
_LONGEST_DEFAULT_TIMEOUT = timedelta(seconds=10)


class _Section(BaseModel):
    # hide_input_in_errors: pydantic would quote secrets otherwise
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


class DatabaseSettings(_Section):
    """Which PostgreSQL is written to.

    Attributes:
        url: ``None`` means the embedded one, under the data directory.
    """

    url: Annotated[Secret, AfterValidator(check_database_url)] | None = None

    @property
    def redacted(self) -> str | None:
        """The URL for people, without its password."""
        return None if self.url is None else redacted(self.url.reveal())


class StorageSettings(_Section):
    """Where files go.

    Attributes:
        data_dir: As configured, made absolute; ``Settings.data_dir`` is the one to use, with its default.
        spool_limit: How many bytes the spool may have on disk.
        replay_window: How long what is committed stays in the spool, in case the database loses it.
    """

    data_dir: Path | None = None
    spool_limit: Size = 1024**3
    replay_window: Duration = timedelta(minutes=30)

    @field_validator("spool_limit")
    @classmethod
    def _spool_limit_is_enough(cls, limit: int) -> int:
        if limit < _SMALLEST_SPOOL:
            raise InvalidSetting(
                f"is {format_size(limit)}, too little to keep anything for long",
                fix=f'Give it "{format_size(_SMALLEST_SPOOL)}" or more.',
            )
        return limit

    @field_validator("data_dir", mode="before")
    @classmethod
    def _data_dir_is_named(cls, data_dir: object) -> object:
        if data_dir == "":
            raise InvalidSetting("is empty", fix="Name a folder, or leave it out for the default one.")
        return data_dir


def _default_timeout(earlier: dict[str, Any]) -> timedelta:
    every: timedelta = earlier["every"]
    return min(_LONGEST_DEFAULT_TIMEOUT, every / 2)


class SnapshotSettings(_Section):
    """When snapshots are due.

    Attributes:
        every: Divides a day, so that slots fall on the same times every day.
        timeout: Shorter than ``every``; left out, 10 s or half of ``every``.
        balances: Whether the balances are asked for too, with the weight that the positions leave.
    """

    every: Duration = timedelta(seconds=60)
    timeout: Duration = Field(default_factory=_default_timeout)
    balances: bool = True

    @field_validator("every")
    @classmethod
    def _every_divides_a_day(cls, every: timedelta) -> timedelta:
        if not divides_a_day(every):
            raise InvalidSetting(
                f"is {format_duration(every)}, which does not divide a day",
                why="Slots are aligned to midnight UTC and must fall on the same times every day.",
                fix='Choose for example "10s", "30s", "60s", "5m", "15m" or "1h".',
            )
        return every

    @field_validator("timeout")
    @classmethod
    def _timeout_is_shorter(cls, timeout: timedelta, info: ValidationInfo) -> timedelta:
        every = info.data.get("every")
        if every is not None and timeout >= every:
            raise InvalidSetting(
                f"is {format_duration(timeout)}, not shorter than snapshot.every = {format_duration(every)}",
                why="A slot must be answered or given up before the next one is due.",
                fix=f'Choose less than "{format_duration(every)}", or leave it out.',
            )
        return timeout


class StreamSettings(_Section):
    """Whether the accounts' event streams are listened to between snapshots.

    Attributes:
        keys_per_connection: So many accounts at most share a connection, and lose it together. 40 keys are what an
            address holds within the 8 KB that servers commonly take.
    """

    enabled: bool = True
    keys_per_connection: int = Field(default=40, ge=1, le=200)


class LedgerSettings(_Section):
    """The exchange's own lists of fills and income, read over REST.

    Attributes:
        every: How often they are asked for what is new, with the weight that the schedule leaves.
    """

    enabled: bool = True
    every: Duration = timedelta(minutes=5)


def _endpoint(url: str, *schemes: str) -> str:
    try:
        parts = urlsplit(url)
        readable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        readable = False
    if not readable or parts.scheme not in schemes or "@" in parts.netloc or parts.fragment:
        raise InvalidSetting(
            f"is not a URL of the form {schemes[-1]}://host[:port][/path]",
            fix="Leave it out for the live exchange, or write the address that `recorder simulate` prints.",
        )
    return url.rstrip("/")


class ExchangeSettings(_Section):
    """Which exchange is asked, and how much.

    Attributes:
        weight_budget: Request weight a minute that this process may use, of the exchange's own limit.
    """

    ws_api_url: str = "wss://ws-fapi.binance.com/ws-fapi/v1"
    stream_url: str = "wss://fstream.binance.com"
    rest_url: str = "https://fapi.binance.com"
    weight_budget: int = Field(default=1200, ge=1)

    @field_validator("ws_api_url", "stream_url")
    @classmethod
    def _is_websocket(cls, url: str) -> str:
        return _endpoint(url, "ws", "wss")

    @field_validator("rest_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return _endpoint(url, "http", "https")


class HttpSettings(_Section):
    """Where health, metrics and the status page are served.

    Attributes:
        listen: ``host:port``; port 0 takes a free one, ``""`` turns the server off.
    """

    listen: str = "127.0.0.1:9464"

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to bind, ``None`` when the server is off."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach it."""
        if self.address is None:
            return False
        host, _ = self.address
        try:
            return not ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"

    @field_validator("listen")
    @classmethod
    def _is_host_and_port(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if listen and not (_is_host(host) and port.isascii() and port.isdecimal() and int(port) <= 65_535):  # noqa: PLR2004
            raise InvalidSetting(
                f"is {listen!r}, not a host and a port",
                fix='Write "127.0.0.1:9464" or "[::1]:9464", or "" to turn it off.',
            )
        return listen


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return host.startswith("[") and host.endswith("]") and ip_address(host[1:-1]).version == 6  # noqa: PLR2004
        except ValueError:
            return False
    return host.replace("-", "").replace(".", "").replace("_", "").isalnum()


def _check_key(secret: Secret) -> Secret:
    if any(character.isspace() or not character.isprintable() for character in secret.reveal()):
        raise InvalidSetting(
            f"({secret.origin}) holds blanks or several lines",
            why="The exchange's keys and HMAC secrets are one word.",
            fix="Give that word alone; a PEM key belongs into private_key.",
        )
    return secret


def _check_pem(secret: Secret) -> Secret:
    text = secret.reveal()
    if not (text.startswith("-----BEGIN ") and "PRIVATE KEY-----" in text.splitlines()[0]):
        kind = "is a public key" if "PUBLIC KEY" in text else "is not a private key in PEM form"
        raise InvalidSetting(
            f"({secret.origin}) {kind}",
            why="Requests are signed with the private half, a file that begins with -----BEGIN PRIVATE KEY-----.",
            fix="Name that file; an HMAC secret belongs into api_secret.",
        )
    return secret


def check_name(name: str) -> str:
    """Return the name of an account unchanged when it can be one; raises InvalidSetting."""
    if not name or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise InvalidSetting(
            "is empty, longer than 64 characters, or has control characters or blanks around it",
            why="The name stands in tables, metrics and commands.",
            fix='Choose a short name like "main".',
        )
    return name


class AccountSettings(_Section):
    """One futures account: its key signs with HMAC (``api_secret``) or with Ed25519 or RSA (``private_key``, PEM)."""

    name: str
    api_key: Annotated[Secret, AfterValidator(_check_key)]
    api_secret: Annotated[Secret, AfterValidator(_check_key)] | None = None
    private_key: Annotated[Secret, AfterValidator(_check_pem)] | None = None

    @property
    def secrets(self) -> dict[str, Secret]:
        """The secrets that are set, by their key in the settings."""
        named = {"api_key": self.api_key, "api_secret": self.api_secret, "private_key": self.private_key}
        return {key: secret for key, secret in named.items() if secret is not None}

    @field_validator("name")
    @classmethod
    def _name_is_fit_to_print(cls, name: str) -> str:
        return check_name(name)

    @model_validator(mode="after")
    def _has_one_way_to_sign(self) -> Self:
        if (self.api_secret is None) == (self.private_key is None):
            given = "neither api_secret nor" if self.api_secret is None else "both api_secret and"
            raise InvalidSetting(
                f"has {given} private_key",
                why="Requests are signed with an HMAC secret or with a private key.",
                fix="Give exactly one of the two.",
            )
        return self
