"""What is masked, in every form in which a program prints it."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.logs import MASK, Redactor

CANARY = 'c4nary/"se+cret"\\7Yq'
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON with letters beyond ASCII": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "repr": repr,
    "repr in JSON": lambda secret: json.dumps(repr(secret)),
    "URL": lambda secret: quote(secret, safe=""),
    "form": quote_plus,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic authentication": lambda secret: base64.b64encode(b"user:" + secret.encode()).decode(),
    "base64 in the middle": lambda secret: base64.urlsafe_b64encode(b"abcd" + secret.encode() + b"xyz").decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(
    "secret", [CANARY, "pläin-with-ümlaut/and more", "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju"]
)
def test_every_printed_form_of_a_secret_is_masked(form: Callable[[str], str], secret: str) -> None:
    printed = form(secret)
    redacted = Redactor([secret]).redact(f"before {printed} after")
    assert MASK in redacted
    core = printed.strip("\"'\\").strip("=")
    middle = core[4:-4]
    assert middle not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


ascii_text = st.text(alphabet=[chr(code) for code in range(32, 127)])


@given(secret=ascii_text.filter(lambda text: len(text.strip()) >= 8), before=ascii_text, after=ascii_text)
def test_no_text_around_it_hides_a_secret(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor([secret]).redact(before + secret + after)


def test_of_two_secrets_the_longer_one_wins() -> None:
    assert Redactor(["long-secret", "long-secret-and-more"]).redact("=long-secret-and-more=") == f"={MASK}="


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    redactor = Redactor(["db"])
    assert redactor.redact("feedback from db:db@host") == f"feedback from {MASK}:{MASK}@host"
    assert redactor.redact(json.dumps("line\ndb")) == f'"line\\n{MASK}"'


def test_an_empty_secret_masks_nothing() -> None:
    assert Redactor(["", " "]).redact("a b") == "a b"


def test_a_thousand_secrets_more_are_learned_in_no_time_and_the_oldest_are_forgotten() -> None:
    redactor = Redactor(["the api secret", "db"])
    keys = [f"listenKey{number:04}".ljust(64, "x") for number in range(1_200)]
    for key in keys[:1_000]:
        redactor.learn(key)
        redactor.learn(keys[0])  # which is still in use
        assert redactor.redact(f"/ws/{key}") == f"/ws/{MASK}"
    for key in keys[1_000:]:
        redactor.learn(key)
    assert redactor.redact(f"{keys[0]} {keys[999]} {keys[1_199]}") == f"{MASK} {MASK} {MASK}"
    assert redactor.redact(keys[1]) == keys[1]
    assert redactor.redact("the api secret of db") == f"{MASK} of {MASK}"
