"""Encryption of connections: to another machine it is on and the server proves who it is, unless told otherwise."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from recorder.exceptions import StorageUnavailable

_VERIFYING = ("verify-full", "verify-ca")


@dataclass(frozen=True, slots=True)
class Encryption:
    """How connections to a database are to be encrypted.

    Attributes:
        mode: PostgreSQL's ``sslmode``; empty when neither URL nor environment names one and the server is local.
        is_remote: Whether any of the hosts is not this machine.
    """

    mode: str
    is_remote: bool
    _params: Mapping[str, str]
    _home: Path

    @classmethod
    def of(cls, url: str, environ: Mapping[str, str]) -> Self:
        """Read it from *url*, and where that is silent from the variables that PostgreSQL's programs know."""
        params = _params(url, environ)
        is_remote = any(not _is_local(host) for host in _hosts(url, params))
        mode = params.get("sslmode") or ("verify-full" if is_remote else "")
        return cls(mode, is_remote, params, Path(environ.get("HOME") or "/"))

    @property
    def is_verified(self) -> bool:
        """Whether nobody else can pose as the server."""
        return self.mode == "verify-full"

    def context(self) -> ssl.SSLContext | None:
        """Return how to encrypt where the server must prove who it is; ``None``: the driver knows by itself.

        Without ``sslrootcert`` and ``~/.postgresql/root.crt`` the authorities that this system trusts are trusted. The
        files are read anew each time. Raises ``StorageUnavailable`` when one of them cannot be.
        """
        if self.mode not in _VERIFYING:
            return None
        own = self._home / ".postgresql"
        root = self._params.get("sslrootcert", "") or (str(own / "root.crt") if (own / "root.crt").exists() else "")
        try:
            context = ssl.create_default_context(cafile=None if root in {"", "system"} else root)
        except OSError as error:
            raise _unreadable(f"The certificates in {root}", "sslrootcert", error) from error
        context.check_hostname = self.is_verified
        context.set_alpn_protocols(["postgresql"])
        certificate = self._params.get("sslcert", "")
        if not certificate and (own / "postgresql.crt").exists():
            certificate = str(own / "postgresql.crt")
        if certificate:
            own_key = str(own / "postgresql.key") if (own / "postgresql.key").exists() else None
            key = self._params.get("sslkey") or own_key
            try:
                context.load_cert_chain(certificate, key, lambda: self._params.get("sslpassword", ""))
            except OSError as error:
                raise _unreadable(f"The client's certificate {certificate}", "sslcert and sslkey", error) from error
        return context


def _params(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    names = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")
    variables = {name: environ[f"PG{name.upper()}"] for name in names if environ.get(f"PG{name.upper()}")}
    return variables | dict(parse_qsl(urlsplit(url).query))


def _hosts(url: str, params: Mapping[str, str]) -> list[str]:
    """Every host that may be connected to; "" is the socket of this machine."""
    written = urlsplit(url).netloc.rpartition("@")[2]
    places = written.split(",") if written else params.get("host", "").split(",")
    return [unquote(_without_port(place)) for place in places]


def _without_port(place: str) -> str:
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place if place.startswith("/") or place.count(":") > 1 else place.partition(":")[0]


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _unreadable(what: str, setting: str, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        f"{what} cannot be used",
        why=error.strerror or str(error),
        fix=f"mend the file, or name another one as {setting} in database.url",
    )
