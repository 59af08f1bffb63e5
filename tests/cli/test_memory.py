import ctypes
from pathlib import Path

import pytest

from tests.cli.command import Recorder

MAPPED = """
import ctypes
from recorder.cli.memory import keep_large_blocks_apart

class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Usage
keep_large_blocks_apart()
libc.free(libc.malloc(300_000))
before = libc.mallinfo2().hblks
libc.malloc(256 * 1024)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc")
async def test_a_large_block_has_a_mapping_of_its_own_also_after_one_was_freed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)

    apart = await recorder(program=MAPPED)
    together = await recorder(program=MAPPED.replace("\nkeep_large_blocks_apart()", ""))

    assert (apart.stdout, together.stdout) == ("1\n", "0\n"), apart.stderr + together.stderr
