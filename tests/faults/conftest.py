import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.ground import Ground, proving_ground


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A ground on which the recorder has not been started yet."""
    with tempfile.TemporaryDirectory(prefix="recorder-faults-") as name:
        async with proving_ground(Path(name)) as ground:
            yield ground
