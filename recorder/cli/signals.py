"""Ctrl-C and SIGTERM, as an event to wait for."""

import asyncio
import signal


def stop_signals() -> asyncio.Event:
    """Return an event that is set when this process is told to stop; what is in hand is finished, not torn apart."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
