from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recorder.cli.doubts import doubts_about
from recorder.cli.finding import Grade
from recorder.postgres.questions import ServerFacts

REMOTE = "postgresql://recorder@db.internal/positions"
TLS = "TLSv1.3, TLS_AES_256_GCM_SHA384"


def facts() -> ServerFacts:
    return ServerFacts(
        version=18,
        fsync=True,
        full_page_writes=True,
        synchronous_commit="on",
        time_zone="UTC",
        tls=TLS,
        now=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("url", "tls", "word"),
    [
        (REMOTE, TLS, None),
        (f"{REMOTE}?sslmode=verify-full", TLS, None),
        (None, None, None),
        ("postgresql://recorder@127.0.0.1/positions", None, None),
        (f"{REMOTE}?sslmode=disable", None, "not encrypted"),
        (f"{REMOTE}?sslmode=prefer", None, "not encrypted"),
        (f"{REMOTE}?sslmode=require", TLS, "need not prove"),
        (f"{REMOTE}?sslmode=verify-ca", TLS, "need not prove"),
    ],
)
def test_a_connection_that_others_can_read_or_answer_is_doubtful(
    url: str | None, tls: str | None, word: str | None
) -> None:
    doubts = list(doubts_about(replace(facts(), tls=tls), url))

    assert [(doubt.grade, str(word) in doubt.what, "verify-full" in doubt.fix) for doubt in doubts] == (
        [(Grade.WARN, True, True)] if word else []
    )


def test_a_server_that_does_not_keep_what_it_confirms_is_doubtful() -> None:
    careless = replace(facts(), fsync=False, full_page_writes=False, synchronous_commit="off")

    doubts = list(doubts_about(careless, None))

    assert [doubt.what for doubt in doubts] == ["fsync is off", "full_page_writes is off", "synchronous_commit is off"]
    assert all(doubt.why and doubt.fix for doubt in doubts)
