"""Secrets that are easy to find again, in whatever form and however shortened they come out."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from urllib.parse import quote

from recorder.simulator.account import Account
from recorder.simulator.keys import HmacKey, pem

_LENGTH = 12  # characters in a row that occur by chance nowhere
_STEP = 8


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret by the name under which a failing test tells of it."""

    name: str
    value: str = field(repr=False)

    @property
    def fragments(self) -> set[bytes]:
        """Pieces of it, so close to one another that no 19 characters of it can be anywhere without one."""
        lines = [line for line in self.value.splitlines() if not line.startswith("-----")]
        forms = [form for line in lines for form in (line, quote(line, safe=""), b64encode(line.encode()).decode())]
        return {
            form[at : at + _LENGTH].encode()
            for form in forms
            for at in [*range(0, len(form) - _LENGTH, _STEP), max(0, len(form) - _LENGTH)]
        }


def canaries_of(accounts: Iterable[Account]) -> Iterator[Canary]:
    for account in accounts:
        key = account.key
        kind, secret = ("api_secret", key.secret) if isinstance(key, HmacKey) else ("private_key", pem(key).decode())
        yield Canary(f"api_key of {account.name}", key.api_key)
        yield Canary(f"{kind} of {account.name}", secret)


def password(name: str) -> Canary:
    """A password with every character that has a meaning in a URL, a log line or a shell."""
    return Canary(name, f"{token_hex(6)}/@:#?%&+= ü'\"{{}}$\\{token_hex(6)}")


def database_url(url: str, role: str, secret: Canary) -> str:
    """Return *url* as *role* with the password *secret*."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{role}:{quote(secret.value, safe='')}@{rest.rpartition('@')[2]}"


def seen(canaries: Iterable[Canary], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return which canary was seen where; *places* are names and contents."""
    fragments = [(canary.name, fragment) for canary in canaries for fragment in canary.fragments]
    found = {}
    for place, content in places:
        for name, fragment in fragments:
            if (at := content.find(fragment)) >= 0:
                found[name, place] = f"{name} in {place}, after {content[max(0, at - 80) : at]!r}"
    return list(found.values())
