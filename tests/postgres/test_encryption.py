"""To another machine connections are encrypted and the server proves who it is, unless the operator says otherwise."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from recorder.exceptions import StorageUnavailable
from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.encryption import Encryption
from recorder.postgres.engine import create_engine, storage_errors
from tests.conftest import DEBIAN
from tests.postgres.authority import Authority

PLENTY = 20.0  # seconds


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://recorder@db.internal/positions", "verify-full"),
        ("postgresql://recorder@10.0.0.7:5433/positions", "verify-full"),
        ("postgresql://recorder@[2001:db8::7]:5433/positions", "verify-full"),
        ("postgresql://recorder@localhost,db.internal:5433/positions", "verify-full"),
        ("postgresql:///positions?host=db.internal", "verify-full"),
        ("postgresql://recorder@db.internal/positions?sslmode=require", "require"),
        ("postgresql://recorder@db.internal/positions?sslmode=disable", "disable"),
        ("postgresql://recorder@localhost/positions?sslmode=verify-ca", "verify-ca"),
        ("postgresql://recorder@localhost:5432/positions", ""),
        ("postgresql://recorder@127.0.0.1:5432/positions", ""),
        ("postgresql://recorder@127.9.9.9/positions", ""),
        ("postgresql://recorder@[::1]:5432/positions", ""),
        ("postgresql:///positions", ""),
        ("postgresql:///positions?host=/run/postgresql", ""),
        ("postgresql://%2Frun%2Fpostgresql/positions", ""),
    ],
)
def test_the_mode_is_what_the_url_says_and_else_the_safest_for_every_machine_but_this_one(url: str, mode: str) -> None:
    encryption = Encryption.of(url, {})

    assert encryption.mode == mode
    assert (encryption.context() is not None) == mode.startswith("verify")


def test_the_variables_of_postgresql_count_where_the_url_is_silent() -> None:
    variables = {"PGSSLMODE": "require", "PGHOST": "db.internal"}
    assert Encryption.of("postgresql:///positions", variables).mode == "require"
    assert Encryption.of("postgresql:///positions", {"PGHOST": "db.internal"}).mode == "verify-full"
    assert Encryption.of("postgresql:///positions?sslmode=verify-full", variables).mode == "verify-full"


def test_a_file_of_certificates_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "root.crt"
    with pytest.raises(StorageUnavailable, match=str(missing)) as caught:
        Encryption.of(f"postgresql://db.internal/positions?sslrootcert={missing}", {}).context()
    assert "sslrootcert" in caught.value.fix


class Secured:
    """A PostgreSQL that another machine could be: reached by an address that is not the loopback's.

    Attributes:
        host: That address.
        url: Of the server by way of it, without parameters.
    """

    def __init__(self, url: str, relay: str, cluster: Path, authority: Authority) -> None:
        parts = urlsplit(url)
        self._direct = url
        self._cluster = cluster
        self.host = relay.rpartition(":")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{relay}"))
        self.authority = authority
        self.trusting = f"{self.url}?sslrootcert={authority.certificate}"

    async def certify(self, host: str, *, ends: timedelta = timedelta(days=1)) -> None:
        """Have the server show a certificate for *host* from now on."""
        certificate, key = self.authority.issue(host, ends=ends)
        owner = self._cluster.stat()
        for name, content in (("server.crt", certificate), ("server.key", key)):
            file = self._cluster / name
            file.write_bytes(content)
            file.chmod(0o600)
            os.chown(file, owner.st_uid, owner.st_gid)
        configuration = self._cluster / "postgresql.conf"
        if "ssl = on" not in configuration.read_text():
            configuration.write_text(configuration.read_text() + "ssl = on\n")
        before = await self._loaded_at()
        os.kill(int((self._cluster / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
        async with asyncio.timeout(PLENTY):
            while await self._loaded_at() == before:  # noqa: ASYNC110 - the server tells nobody else
                await asyncio.sleep(0.02)

    async def _loaded_at(self) -> object:
        engine = create_engine(self._direct)
        async with engine.connect() as connection:
            loaded = await connection.scalar(text("SELECT pg_conf_load_time()"))
        await engine.dispose()
        return loaded


def own_address() -> str | None:
    """The address under which others know this machine, if it has a network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@asynccontextmanager
async def relay(host: str, port: int) -> AsyncIterator[str]:
    """Pass on what comes to an address of this machine to *port* on the loopback; yield the address."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, host, 0)
    yield f"{host}:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="recorder-tests-") as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        yield Path(name).resolve()


@pytest.fixture
async def secured(open_folder: Path) -> AsyncIterator[Secured]:
    address = own_address()
    if address is None or not DEBIAN.is_dir():
        pytest.skip("there is no network, or no PostgreSQL with OpenSSL: the embedded one has none")
    async with embedded_postgres(open_folder / "data", binaries=DEBIAN) as url:
        port = urlsplit(url).port
        assert port
        async with relay(address, port) as place:
            yield Secured(url, place, open_folder / "data" / "postgres", Authority(open_folder))


async def encrypted(url: str) -> bool:
    """Whether a new connection is, as the server sees it. Raises ``StorageError``."""
    engine = create_engine(url)
    try:
        with storage_errors():
            async with engine.connect() as connection:
                return bool(await connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))
    finally:
        await engine.dispose()


async def refused(url: str) -> StorageUnavailable:
    with pytest.raises(StorageUnavailable) as caught:
        await encrypted(url)
    return caught.value


async def test_another_machine_must_encrypt_and_prove_who_it_is(secured: Secured) -> None:
    plain = await refused(secured.trusting)
    assert "cannot be encrypted" in plain.what
    assert "sslmode=disable" in plain.fix
    assert not await encrypted(f"{secured.url}?sslmode=disable")

    await secured.certify(secured.host)
    assert await encrypted(secured.trusting)
    unknown = await refused(secured.url)
    assert unknown.what == "PostgreSQL's certificate is not accepted"
    assert "sslrootcert" in unknown.fix
    assert await encrypted(f"{secured.url}?sslmode=require")

    await secured.certify("192.0.2.9")
    other = await refused(secured.trusting)
    assert "192.0.2.9" in other.why or secured.host in other.why
    assert "name the host" in other.fix
    assert await encrypted(f"{secured.trusting}&sslmode=verify-ca")

    await secured.certify(secured.host, ends=-timedelta(hours=1))
    expired = await refused(secured.trusting)
    assert "expired" in expired.why
    assert "renew" in expired.fix

    await secured.certify(secured.host)
    assert await encrypted(secured.trusting)
