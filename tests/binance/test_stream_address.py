import pytest

from recorder.binance.stream_address import StreamAddress
from recorder.exceptions import ConfigurationError

EVENTS = "ACCOUNT_UPDATE/ORDER_TRADE_UPDATE/ACCOUNT_CONFIG_UPDATE/MARGIN_CALL/listenKeyExpired"


def test_the_address_names_every_event_that_is_wanted() -> None:
    address = StreamAddress("wss://exchange/").of(["a+b/c"])
    assert address == f"wss://exchange/private/ws?listenKey=a%2Bb%2Fc&events={EVENTS}"


def test_several_keys_each_name_their_events() -> None:
    address = StreamAddress("wss://exchange").of(["a", "b/c"])
    assert address == f"wss://exchange/private/stream?listenKey=a&events={EVENTS}&listenKey=b%2Fc&events={EVENTS}"


def test_as_many_keys_as_share_a_connection_fit_into_an_address_that_servers_take() -> None:
    assert len(StreamAddress("wss://fstream.binance.com").of(["k" * 64] * 40)) < 8000


def test_the_form_of_the_address_can_be_another() -> None:
    address = StreamAddress("wss://exchange/private/ws/{listen_key}")
    assert address.of(["a/b"]) == "wss://exchange/private/ws/a%2Fb"
    assert not address.shared


def test_the_form_for_several_can_be_another() -> None:
    address = StreamAddress("wss://exchange/private/stream?streams={listen_keys}")
    assert address.of(["a/b", "c"]) == "wss://exchange/private/stream?streams=a%2Fb/c"
    assert address.shared


@pytest.mark.parametrize("url", ["https://fstream.binance.com", "", "fstream.binance.com/{listen_key}"])
def test_an_address_that_is_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="stream_url"):
        StreamAddress(url)
