"""Telephone sound for clients that want samples."""


def linear(audio):
    """16-bit samples of this mu-law."""
    samples = bytearray()
    for byte in audio:
        byte = ~byte & 0xFF
        sample = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
        samples += ((0x84 - sample) if byte & 0x80 else (sample - 0x84)).to_bytes(2, "little", signed=True)
    return bytes(samples)
