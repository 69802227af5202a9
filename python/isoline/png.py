"""Reads the PNG files that isoline writes: 8 bits a channel, grey or RGB, not interlaced."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pixels at most, so that a damaged header asks for no memory.
PIXELS = 1 << 26


def pixels(file: bytes) -> numpy.ndarray:
    """The pixels as uint8 [height, width, channels]. Raises ValueError, saying what is wrong."""
    import numpy

    if not file.startswith(SIGNATURE):
        raise ValueError("expected a PNG file, found something else")
    header, data = b"", bytearray()
    at = len(SIGNATURE)
    while at + 12 <= len(file):
        length, kind = struct.unpack(">I4s", file[at : at + 8])
        body = file[at + 8 : at + 8 + length]
        at += 12 + length
        if at > len(file) or struct.unpack(">I", file[at - 4 : at])[0] != zlib.crc32(kind + body):
            raise ValueError("the file is cut or damaged")
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            data += body
        elif kind == b"IEND":
            break
    if len(header) != 13:
        raise ValueError("the file is cut or damaged")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    channels = {0: 1, 2: 3}.get(colour)
    if depth != 8 or channels is None or interlaced:
        raise ValueError("expected 8 bits a channel, grey or RGB, not interlaced; isoline writes no other")
    if not 0 < width * height <= PIXELS:
        raise ValueError(f"expected up to {PIXELS} pixels, found {width} × {height}")
    size = height * (1 + width * channels)
    try:
        raw = zlib.decompressobj().decompress(bytes(data), size)
    except zlib.error as error:
        raise ValueError("the file is cut or damaged") from error
    if len(raw) != size:
        raise ValueError("the file is cut or damaged")
    lines = numpy.frombuffer(raw, numpy.uint8).reshape(height, 1 + width * channels)
    return unfiltered(lines[:, 0], lines[:, 1:].reshape(height, width, channels))


def unfiltered(filters: numpy.ndarray, raw: numpy.ndarray) -> numpy.ndarray:
    """Undoes the filter of every row. A pixel needs those to its left and above, so that all pixels of one diagonal
    are found at once."""
    import numpy

    if filters.max(initial=0) > 4:
        raise ValueError("the file is cut or damaged")
    height, width, channels = raw.shape
    # A margin of zeros on top and at the left.
    out = numpy.zeros((height + 1, width + 1, channels), numpy.int16)
    for diagonal in range(height + width - 1):
        r = numpy.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        c = diagonal - r
        left, up, corner = out[r + 1, c], out[r, c + 1], out[r, c]
        guess = left + up - corner
        a, b, d = abs(guess - left), abs(guess - up), abs(guess - corner)
        paeth = numpy.where((a <= b) & (a <= d), left, numpy.where(b <= d, up, corner))
        choices = [numpy.zeros_like(left), left, up, (left + up) // 2, paeth]
        out[r + 1, c + 1] = (raw[r, c] + numpy.choose(filters[r][:, None], choices)) & 255
    return out[1:, 1:].astype(numpy.uint8)
