"""The database's URL: a secret, because it may hold a password."""

import re
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus, urlsplit

from recorder.config.problem import InvalidSetting
from recorder.config.secret import MASK, Secret

SCHEMES = ("postgresql", "postgres")
_SECRET_PARAMETERS = frozenset({"password", "sslpassword"})
_FIX = (
    'Write it like "postgresql://recorder@db.internal/positions", '
    "with / @ : # ? % in the password as %2F %40 %3A %23 %3F %25."
)


def check_database_url(url: Secret) -> Secret:
    """Return *url* unchanged, query parameters and all, when PostgreSQL's drivers will read it as it was meant.

    Raises InvalidSetting that shows no part of it: in a malformed URL nobody knows which part is the password.
    """
    _parts(url.reveal())
    return url


def redacted(url: str) -> str:
    """Return *url* for people, with ``••••`` for each password."""
    parts = _parts(url)
    login, at, host = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    query = "&".join(
        f"{name}={MASK}" if name in _SECRET_PARAMETERS else parameter
        for parameter in parts.query.split("&")
        for name in [unquote_plus(parameter.partition("=")[0])]
    )
    mask = MASK if colon else ""
    return f"{parts.scheme}://{user}{colon}{mask}{at}{host}{parts.path}{'?' if query else ''}{query}"


def passwords(url: str) -> list[str]:
    """Return each password in *url*, as it is, as it is written there, and as it would be quoted."""
    parts = _parts(url)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    written = [parts.password or "", *(value for name, value in parameters if name in _SECRET_PARAMETERS)]
    forms = {form for text in written for form in (text, unquote(text), quote(unquote(text), safe=""))}
    return sorted(forms - {""})


def _parts(url: str) -> SplitResult:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        known = re.fullmatch(r"[a-z0-9+]{1,24}", scheme) if separator else None
        raise InvalidSetting(
            f"begins with {scheme}://" if known else "is not a URL",
            why="The recorder writes to PostgreSQL and chooses the driver itself.",
            fix=_FIX,
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # not chained: its message quotes the password
        raise _malformed("its host or port cannot be read") from None
    if parts.netloc.count("@") > 1 or ("@" not in parts.netloc and "@" in url):
        raise _malformed("it has an @ that does not stand between login and host")
    if parts.fragment or url.endswith("#"):
        raise _malformed("it has a #")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise _malformed("it has blanks or control characters")
    if "@" in parts.path:
        raise _malformed("it has an @ after the host")
    return parts


def _malformed(symptom: str) -> InvalidSetting:
    return InvalidSetting(
        f"is not a readable PostgreSQL URL: {symptom}",
        why="Most likely the password holds a character that has a meaning in URLs.",
        fix=_FIX,
    )
