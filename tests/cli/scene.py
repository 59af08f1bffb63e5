"""A recorder whose every secret is a canary, and the exchange that knows them."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from recorder.simulator.exchange import Simulator
from recorder.simulator.keys import HmacKey, pem
from tests.cli.canary import Canary, seen
from tests.cli.command import MAIN, Finished, Recorder, Running

DEBUG = ("--log-level", "debug")


@dataclass(frozen=True, slots=True)
class Scene:
    """Runs commands at debug level, and finds what they let slip.

    Attributes:
        canaries: The secrets; a test adds those that it brings in itself.
    """

    recorder: Recorder
    exchange: Simulator
    canaries: list[Canary]

    @property
    def settings(self) -> Path:
        return Path(self.recorder.variables["RECORDER_CONFIG"])

    async def run(self, *commands: tuple[str, ...], program: str = MAIN, **variables: str) -> list[Finished]:
        calls = (self.recorder(*command, *DEBUG, program=program, anew=False, **variables) for command in commands)
        return await asyncio.gather(*calls)

    def started(self, *arguments: str, anew: bool = False, **variables: str) -> AbstractAsyncContextManager[Running]:
        return self.recorder.started(*arguments, *DEBUG, anew=anew, **variables)

    def seen(self, *more: tuple[str, str]) -> list[str]:
        """Return which canary was seen where: in an output, in a file of the data directory, or in *more*."""
        folders = self.recorder.folder / "outputs", self.recorder.folder / "data"
        files = [(str(file), file.read_bytes()) for folder in folders for file in folder.rglob("*") if file.is_file()]
        assert any(content for _, content in files)
        return seen(self.canaries, [*files, *((name, text.encode()) for name, text in more)])


def settings_with_secrets_everywhere(folder: Path, exchange: Simulator) -> dict[str, str]:
    """Write a recorder.toml whose accounts have their secrets in all the places there are.

    The first has them in the environment and a file, the second in the settings themselves, the third among systemd's
    credentials, the fourth in the environment alone. Return the variables that go with it.
    """
    folder.mkdir()
    lines = [
        '[snapshot]\nevery = "2s"',
        '[http]\nlisten = ""',
        f'[exchange]\nws_api_url = "{exchange.ws_api_url}"',
        f'stream_url = "{exchange.stream_url}"\nrest_url = "{exchange.rest_url}"',
    ]
    variables = {"RECORDER_CONFIG": str(folder / "recorder.toml"), "CREDENTIALS_DIRECTORY": str(folder / "credentials")}
    (folder / "credentials").mkdir()
    for place, (name, account) in enumerate(exchange.world.accounts.items()):
        key = account.key
        kind, secret = ("api_secret", key.secret) if isinstance(key, HmacKey) else ("private_key", pem(key).decode())
        api_key = key.api_key if place == 1 else f"env:KEY_{place}"
        variables[f"KEY_{place}"] = key.api_key
        match place:
            case 0:
                (folder / f"{name}.secret").write_text(f"{secret}\n")
                secret = f"file:{name}.secret"
            case 2:
                (folder / "credentials" / name).write_text(secret)
                secret = f"file:{name}"
            case 3:
                variables["RSA_PEM"], secret = secret, "env:RSA_PEM"
            case _:
                pass  # the second: written out
        lines.append(f'[[accounts]]\nname = "{name}"\napi_key = "{api_key}"\n{kind} = "{secret}"')
    (folder / "recorder.toml").write_text("\n".join(lines))
    return variables
