"""The seal at the end of a line of `episodes.jsonl`: a CRC-32 of all before it.

JSON says when a line is torn; it does not say that a digit has become another one, on a dying disk or in an editor. The seal
is no protection against malice: whoever changes a line on purpose can renew it (`nora-bench verify` replays episodes).
"""

from __future__ import annotations

import zlib

HEAD, TAIL = b',"crc32":"', b'"}'
LENGTH = len(HEAD) + 8 + len(TAIL)


class ChecksumError(ValueError):
    """A line is not what was written."""


def with_checksum(line: bytes) -> bytes:
    """A JSON object's line, without its newline, with the seal as its last field."""
    body = line[: -len(b"}")]
    return b"%b%b%08x%b" % (body, HEAD, zlib.crc32(body), TAIL)


def verify_checksum(line: bytes) -> bytes:
    """The same line. Raises ChecksumError where it carries a seal that does not fit it; lines that others wrote carry none."""
    end = len(line.rstrip(b"\r\n"))
    body, seal = line[: end - LENGTH], line[end - LENGTH : end]
    if seal.startswith(HEAD) and seal.endswith(TAIL) and seal[len(HEAD) : -len(TAIL)] != b"%08x" % zlib.crc32(body):
        raise ChecksumError("it was altered after it was written: its crc32 does not fit")
    return line
