"""Secrets: values that are used and never shown, and where they are read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from recorder.config.problem import InvalidSetting

MASK = "••••"
_LARGEST_FILE = 64 * 1024  # a key is a few kilobytes; more is a wrong path such as /dev/zero


class Secret:
    """A value that every way of printing shows as ``••••``; only ``reveal`` gives it.

    Attributes:
        origin: Where it came from, fit to be shown: ``env:NAME``, ``file:PATH`` or ``literal``.
        file: The file that holds the value: the secret's own, or the configuration file for a literal there.
    """

    __slots__ = ("_value", "file", "origin")

    def __init__(self, value: str, *, origin: str = "literal", file: Path | None = None) -> None:
        self._value = value
        self.origin = origin
        self.file = file

    def reveal(self) -> str:
        return self._value

    def read_again(self) -> Self:
        """Return the secret as it is now, if a file of its own holds it; raises InvalidSetting when that is not so."""
        if self.file is None or not self.origin.startswith("file:"):
            return self
        return type(self)(_content(self.file).strip(), origin=self.origin, file=self.file)

    @override
    def __repr__(self) -> str:
        return MASK

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    @override
    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled: the bytes would show it")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _as_secret, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _as_secret(value: object) -> Secret:
    match value:
        case Secret():
            return value
        case InvalidSetting():  # what the reader could not read, raised here so that it is told with the others
            raise value
        case str():
            return Secret(value)
        case _:
            raise InvalidSetting("is not text", fix='Write "env:NAME", "file:PATH" or the value in quotes.')


@dataclass(frozen=True, kw_only=True)
class SecretReader:
    """Reads what ``env:NAME``, ``file:PATH``, literals and relative paths of one source stand for.

    Attributes:
        folder: What a relative PATH is relative to.
        file: The configuration file the texts come from, ``None`` for the environment.
        home: What ``~`` stands for.
    """

    environ: Mapping[str, str]
    folder: Path
    home: Path
    file: Path | None = None

    def read(self, text: str, *, variable: str | None = None) -> Secret | InvalidSetting:
        """Return the secret, or what is wrong as a value, for the validator to raise.

        *variable* is the environment variable that holds *text* itself.
        """
        kind, _, name = text.partition(":")
        if kind == "env":
            value, origin, file = self.environ.get(name, ""), text, None
            if not value.strip():
                state = "empty" if name in self.environ else "not set"
                return InvalidSetting(
                    f"names the environment variable {name!r}, which is {state}",
                    fix=f"Set {name}, or name another source.",
                )
        elif kind == "file":
            file = self._locate(name)
            origin = text
            try:
                value = _content(file)
            except InvalidSetting as exc:
                return exc
        else:
            value, file = text, self.file
            origin = "literal" if variable is None else f"env:{variable}"
            if not value.strip():
                return InvalidSetting("is empty", fix='Write "env:NAME" or "file:PATH", or leave the line out.')
        return Secret(value.strip(), origin=origin, file=file)

    def _locate(self, name: str) -> Path:
        # systemd's LoadCredential= puts its files in a folder whose name is only known at run time
        credentials = self.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and "/" not in name:
            credential = Path(credentials, name)
            if credential.exists():
                return credential
        return self.absolute(name)

    def absolute(self, path: str) -> Path:
        """Return *path* with ``~`` resolved, relative to ``folder`` unless it is absolute."""
        if path == "~" or path.startswith("~/"):
            return self.home / path[2:]
        return self.folder / path


def _content(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except OSError as exc:
        raise InvalidSetting(
            f"names the file {file}, which cannot be read: {exc.strerror}",
            fix=f"Put the secret there, readable by the recorder's user: `chmod 600 {file}`.",
        ) from exc
    if len(content) > _LARGEST_FILE:
        raise InvalidSetting(f"names the file {file}, which is too large for a secret", fix="Name the right file.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # not chained: it carries the content
        raise InvalidSetting(
            f"names the file {file}, which is not text", fix="Keys are expected as text; convert DER to PEM."
        ) from None
    if not text.strip():
        raise InvalidSetting(f"names the file {file}, which is empty", fix="Put the secret into it.")
    return text
