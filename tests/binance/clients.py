"""A client of the exchanges that a test runs."""

from recorder.binance.client import Client
from recorder.binance.pause import PauseFile
from recorder.binance.weight import WeightBudget

NOWHERE = "127.0.0.1:1"


def a_client(
    url: str,
    budget: int = 1200,
    *,
    stream_url: str = f"ws://{NOWHERE}",
    rest_url: str = f"http://{NOWHERE}",
    pause_file: PauseFile | None = None,
) -> Client:
    return Client(url, WeightBudget(budget), stream_url=stream_url, rest_url=rest_url, pause_file=pause_file)
