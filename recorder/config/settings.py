"""The settings, read once at the start; everything below is handed values."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from recorder.config.database_url import check_database_url, passwords
from recorder.config.explanation import explain
from recorder.config.problem import InvalidSetting, configuration_error
from recorder.config.secret import Secret, SecretReader
from recorder.config.sections import (
    AccountSettings,
    DatabaseSettings,
    ExchangeSettings,
    HttpSettings,
    LedgerSettings,
    SnapshotSettings,
    StorageSettings,
    StreamSettings,
)
from recorder.config.sources import (
    account_from_environment,
    default_data_dir,
    find_file,
    home_of,
    read_environment,
    read_file,
    resolve,
    variable_of,
)
from recorder.config.weight import check_weight


class Settings(BaseSettings):
    """Everything a user can set. ``load`` reads it; built directly it consults neither file nor environment."""

    model_config = SettingsConfigDict(
        case_sensitive=True, extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    stream: StreamSettings = StreamSettings()
    ledger: LedgerSettings = LedgerSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    http: HttpSettings = HttpSettings()
    accounts: tuple[AccountSettings, ...] = ()

    _file: Path | None = PrivateAttr(default=None)
    _default_data_dir: Path = PrivateAttr(default_factory=lambda: _default_data_dir(os.environ))

    @classmethod
    def load(cls, config: Path | None, environ: Mapping[str, str], cwd: Path, *, need_accounts: bool = True) -> Self:
        """Read the file in force, then the variables that override it.

        Without *need_accounts* the accounts are left out and their secrets are not even read, so that who may read
        positions needs no right to the keys. Raises ConfigurationError that names every problem found.
        """
        file = find_file(config, environ, cwd)
        home = home_of(environ)
        outside = SecretReader(environ=environ, folder=cwd, home=home)
        written = {} if file is None else read_file(cls, file)
        if not need_accounts:
            written.pop("accounts", None)
        if file is not None:
            inside = SecretReader(environ=environ, folder=file.parent, home=home, file=file)
            written = resolve(written, inside)
        keys = _keys_by_section()
        variables = {
            variable_of(section, key): (section, key)
            for section in keys
            if section != "accounts"
            for key in keys[section]
        }
        given, problems = read_environment(environ, variables, reader=outside)
        if need_accounts and not written.get("accounts"):
            account = account_from_environment(environ, outside)
            if account is None:
                problems.append(_no_accounts(file))
            else:
                written["accounts"] = [account]
        try:
            sources = InitSettingsSource(cls, given), InitSettingsSource(cls, written)
            settings = cls(_build_sources=(sources, {}))  # type: ignore[call-arg]  # mypy sees only the fields
        except ValidationError as exc:
            problems += explain(exc, known=keys, file=file, from_file=written, from_environment=given)
            raise configuration_error(problems) from exc
        if problems:
            raise configuration_error(problems)
        settings._file = file
        settings._default_data_dir = _default_data_dir(environ)
        return settings

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @field_validator("accounts")
    @classmethod
    def _names_are_unique(cls, accounts: tuple[AccountSettings, ...]) -> tuple[AccountSettings, ...]:
        twice = [name for name, count in Counter(account.name for account in accounts).items() if count > 1]
        if twice:
            raise InvalidSetting(
                f"has several accounts named {', '.join(map(repr, twice))}",
                why="The name tells accounts apart in every table.",
                fix="Give each account its own name.",
            )
        return accounts

    @model_validator(mode="after")
    def _schedule_fits_the_budget(self) -> Self:
        check_weight(accounts=len(self.accounts), every=self.snapshot.every, budget=self.exchange.weight_budget)
        return self

    @property
    def file(self) -> Path | None:
        """The configuration file that was read."""
        return self._file

    @property
    def data_dir(self) -> Path:
        """Where the embedded database and all files go; not made yet."""
        return self.storage.data_dir or self._default_data_dir

    @property
    def database_url(self) -> str | None:
        """Where to record, password included; ``None`` for the embedded database."""
        return None if self.database.url is None else self.database.url.reveal()

    def current_database_url(self) -> str | None:
        """Return the same, read again where a file of its own holds it; what is unreadable there changes nothing."""
        if self.database.url is None:
            return None
        try:
            return check_database_url(self.database.url.read_again()).reveal()
        except InvalidSetting:
            return self.database.url.reveal()

    def secrets(self) -> dict[str, Secret]:
        """Return every secret by the name of its setting."""
        found = {} if self.database.url is None else {"database.url": self.database.url}
        for account in self.accounts:
            found |= {f"accounts.{key} of account {account.name!r}": secret for key, secret in account.secrets.items()}
        return found

    def secret_values(self) -> list[str]:
        """Return every text that no output may hold: of the database's URL the passwords, of a PEM key its lines."""
        values = set() if self.database.url is None else set(passwords(self.database.url.reveal()))
        for account in self.accounts:
            for secret in account.secrets.values():
                value = secret.reveal()
                lines = [line.strip() for line in value.splitlines() if not line.startswith("-----")]
                values |= {value, quote(value, safe=""), *lines}
        return sorted(values - {""})

    def warnings(self) -> list[str]:
        """Return what is allowed and unwise, one sentence each, for `recorder check` and the start of the service."""
        return [*self._exposed_secrets(), *self._shared_keys(), *self._doubtful_endpoints(), *self._exposed_pages()]

    def _exposed_secrets(self) -> Iterator[str]:
        secrets = self.secrets()
        if self.database.url is not None and not passwords(self.database.url.reveal()):
            del secrets["database.url"]
        for name, secret in secrets.items():
            if secret.origin == "literal" and secret.file is not None:
                yield f'{name} is written in {secret.file} itself: write "env:NAME" or "file:PATH" instead.'
        for file in sorted({secret.file for secret in secrets.values() if secret.file is not None}):
            if _world_readable(file):
                yield f"{file} holds a secret that every user of this machine can read: `chmod 600 {file}`."

    def _shared_keys(self) -> Iterator[str]:
        for one, other in combinations(self.accounts, 2):
            if one.api_key == other.api_key:
                yield f"Accounts {one.name!r} and {other.name!r} have the same api_key: everything is recorded twice."

    def _doubtful_endpoints(self) -> Iterator[str]:
        keys = ("ws_api_url", "stream_url", "rest_url")
        changed = [key for key in keys if getattr(self.exchange, key) != ExchangeSettings.model_fields[key].default]
        if changed and len(changed) < len(keys):
            live = ", ".join(f"exchange.{key}" for key in keys if key not in changed)
            yield f"exchange.{changed[0]} is changed, but {live} still means the live exchange: set all three."
        for key in changed:
            url = urlsplit(getattr(self.exchange, key))
            if url.scheme in {"ws", "http"} and url.hostname not in {"localhost", "127.0.0.1", "::1"}:
                yield f"exchange.{key} is not encrypted: signed requests can be read on the way."

    def _exposed_pages(self) -> Iterator[str]:
        if self.http.is_exposed:
            yield (
                f"http.listen = {self.http.listen!r} can be reached from other machines: the names of accounts and how "
                "they are doing are shown to whoever asks, without a password or encryption."
            )


def _keys_by_section() -> dict[str, list[str]]:
    models = {name: field.annotation for name, field in Settings.model_fields.items()} | {"accounts": AccountSettings}
    return {
        name: list(model.model_fields)
        for name, model in models.items()
        if isinstance(model, type) and issubclass(model, BaseModel)
    }


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    return default_data_dir(environ, root=os.geteuid() == 0)


def _world_readable(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # gone since it was read: nobody can read it
        return False


def _no_accounts(file: Path | None) -> InvalidSetting:
    return InvalidSetting(
        "No account is configured",
        why="There is no configuration file." if file is None else f"{file} has no [[accounts]] section.",
        fix="Set BINANCE_API_KEY and BINANCE_API_SECRET (or BINANCE_PRIVATE_KEY_FILE), or add an [[accounts]] section.",
    )
