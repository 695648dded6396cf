"""CRC-32 at the end of each line of `episodes.jsonl`, over all bytes before it.

JSON syntax reveals a torn line, not a changed digit (failing disk, editor). The checksum does not protect against malice:
a deliberate change can renew it (`nora-bench verify` replays episodes).
"""

from __future__ import annotations

import zlib

HEAD, TAIL = b',"crc32":"', b'"}'
LENGTH = len(HEAD) + 8 + len(TAIL)


class ChecksumError(ValueError):
    """A line differs from what was written."""


def with_checksum(line: bytes) -> bytes:
    """A JSON object's line (without its newline) with the checksum as its last field."""
    body = line[: -len(b"}")]
    return b"%b%b%08x%b" % (body, HEAD, zlib.crc32(body), TAIL)


def verify_checksum(line: bytes) -> bytes:
    """The same line. Raises ChecksumError if its checksum does not match; lines without a checksum (other writers) pass."""
    end = len(line.rstrip(b"\r\n"))
    body, checksum = line[: end - LENGTH], line[end - LENGTH : end]
    if checksum.startswith(HEAD) and checksum.endswith(TAIL) and checksum[len(HEAD) : -len(TAIL)] != b"%08x" % zlib.crc32(body):
        raise ChecksumError("it was altered after it was written: its crc32 does not match")
    return line
