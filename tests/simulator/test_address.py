import pytest

from recorder.simulator.stream.address import Address, Subscription, parse_address


@pytest.mark.parametrize("target", ["/private/ws/K", "/private/ws?listenKey=K"])
def test_a_key_alone_means_every_type(target: str) -> None:
    assert parse_address(target) == Address(subscriptions=(Subscription(listen_key="K"),))


@pytest.mark.parametrize("target", ["/private/ws?listenKey=K&events=A/B", "/private/ws/K?events=A%2FB"])
def test_types_can_be_chosen(target: str) -> None:
    assert parse_address(target) == Address(subscriptions=(Subscription(listen_key="K", events=frozenset({"A", "B"})),))


def test_types_belong_to_the_key_before_them() -> None:
    address = parse_address("/private/stream?listenKey=K&events=A&listenKey=L&listenKey=M&events=B")
    assert address is not None
    assert address.wrapped
    assert [(each.listen_key, each.events) for each in address.subscriptions] == [
        ("K", {"A"}),
        ("L", None),
        ("M", {"B"}),
    ]


@pytest.mark.parametrize("target", ["/ws/K", "/ws", "/stream?streams=K"])
def test_addresses_of_old_are_known(target: str) -> None:
    assert parse_address(target) == Address(retired=True)


@pytest.mark.parametrize("target", ["/", "/private", "/private/other", "/ws-fapi/v1", "/market/ws/btcusdt@markPrice"])
def test_there_are_no_streams_elsewhere(target: str) -> None:
    assert parse_address(target) is None


def test_keys_can_be_listed() -> None:
    address = parse_address("/private/stream?streams=K/L")
    assert address is not None
    assert address.wrapped
    assert [(each.listen_key, each.events) for each in address.subscriptions] == [("K", None), ("L", None)]
