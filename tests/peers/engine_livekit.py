"""Drives `emulate --engine local` with LiveKit's plugin for the speech service, PyPI livekit-plugins-smallestai 1.8.9. By hand: it brings 300 MB with it.

    pulse-bridge emulate --listen 127.0.0.1:9090 --engine local
    python3 -m venv v && v/bin/pip install livekit-plugins-smallestai==1.8.9
    v/bin/python tests/peers/engine_livekit.py 127.0.0.1:9090

Prints what was heard of the caller of pay-by-card, streamed and as one file; exits 1 where the card's first group is missing in either.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import smallestai
from sound import linear

AUDIO = Path(__file__).resolve().parents[2] / "fixtures/pay-by-card/inbound.ulaw"
PACKET = 800
FIRST = "four five three nine"


def frame(samples):
    return rtc.AudioFrame(data=samples, sample_rate=8000, num_channels=1, samples_per_channel=len(samples) // 2)


async def streamed(service, samples):
    stream = service.stream()

    async def send():
        for at in range(0, len(samples), PACKET):
            stream.push_frame(frame(samples[at : at + PACKET]))
            # Ten times the pace of speech.
            await asyncio.sleep(0.005)
        stream.flush()
        stream.end_input()

    sending = asyncio.create_task(send())
    finals = [event.alternatives[0].text async for event in stream if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT]
    await sending
    return " ".join(finals)


async def main(address):
    samples = linear(AUDIO.read_bytes())
    async with aiohttp.ClientSession() as http:
        base = f"http://{address}/waves/v1"
        service = smallestai.STT(base_url=base, api_key="sk_any", http_session=http, sample_rate=8000, language="en")
        heard = await asyncio.wait_for(streamed(service, samples), 60)
        print("streamed ", heard)
        file = (await service.recognize([frame(samples)])).alternatives[0].text
        print("as a file", file)
    return FIRST in heard.lower() and FIRST in file.lower()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(sys.argv[1])) else 1)
