"""Smaller picture files: a chart has few colours, and a PNG with a palette of them takes a fraction of the space.

.venv/bin/python docs/small_png.py demo/ranges.png docs/pictures/demo.png
"""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np

HEAD = b"\x89PNG\r\n\x1a\n"
RGBA, PALETTE, SUB = 6, 3, 1  # the format's numbers for colour types and for the filter that the renderer uses
FULL = 256  # colours that a palette holds


def shrink(path: Path) -> None:
    """Rewrite an opaque PNG with at most 256 colours; one that is laid out in another way stays as it is."""
    chunks = _chunks(path.read_bytes())
    width, height, bits, colours, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    if (bits, colours, interlaced) != (8, RGBA, 0):
        return
    lines = raw.reshape(height, 1 + 4 * width)
    if not (lines[:, 0] == SUB).all():
        return
    # The filter stored each byte as its difference from the pixel on its left.
    pixels = np.cumsum(lines[:, 1:].reshape(height, width, 4), axis=1, dtype=np.uint8)[..., :3]
    palette, index = _reduced(pixels.reshape(-1, 3))
    body = np.zeros((height, 1 + width), np.uint8)
    body[:, 1:] = index.reshape(height, width)
    written = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(body.tobytes(), 9)),
        (b"IEND", b""),
    ]
    path.write_bytes(HEAD + b"".join(_chunk(name, data) for name, data in written))


def _reduced(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 256 colours, and each pixel's index among them; one that is not kept becomes the nearest.

    The most used colours are kept, and then, one by one, that which would lose most: far from those kept, and not rare.
    """
    wide = pixels.astype(np.uint32)
    codes, index, counts = np.unique(
        wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2], return_inverse=True, return_counts=True
    )
    colours = np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=1).astype(np.int64)
    kept = list(np.argsort(-counts, kind="stable")[: FULL // 4])
    apart = np.min([np.square(colours - colours[k]).sum(axis=1) for k in kept], axis=0)
    while len(kept) < min(FULL, len(colours)):
        kept.append(int(np.argmax(apart * np.sqrt(counts))))
        apart = np.minimum(apart, np.square(colours - colours[kept[-1]]).sum(axis=1))
    palette = colours[kept]
    nearest = np.array([np.square(palette - colour).sum(axis=1).argmin() for colour in colours], dtype=np.uint8)
    return palette.astype(np.uint8), nearest[index]


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The parts of a PNG by name; the pieces of the image joined."""
    found: dict[bytes, bytes] = {}
    at = len(HEAD)
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        found[name] = found.get(name, b"") + data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(name + data))


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(source.read_bytes())
    shrink(target)
