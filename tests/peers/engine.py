"""Drives `emulate --engine local` with the speech service's own Python client, PyPI smallestai: a recorded caller is really recognised.

Prints one line a check and exits 1 at the first that fails. Needs the engine in ./data (pulse-bridge engine install).
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import wave
from pathlib import Path

from smallestai import SmallestAI
from smallestai.environment import SmallestAIEnvironment
from smallestai.waves.pulse_stt_streaming.types import PulseCloseStreamSignalMessage
from sound import linear

ROOT = Path(__file__).resolve().parents[2]
FRAME = 160
# Said by the caller of pay-by-card; that a number is right is what a card's holder asks first.
CARD = "4539148803436467"
QUERY = {
    "encoding": "mulaw",
    "sample_rate": 8000,
    "language": "en",
    "word_timestamps": "true",
    "diarize": "true",
    "itn_normalize": "true",
    "finalize_on_words": "false",
    "vad_events": "true",
}


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED  {what}")
    print(f"ok      {what}", flush=True)


def digits(text):
    return re.sub(r"\D", "", text)


def stream(client, audio):
    """The finals, whatever else came, and whether the last one was marked."""
    finals, others, is_last = [], [], False
    with client.waves.pulse_stt_streaming.connect(request_options={"additional_query_parameters": QUERY}) as socket:

        def send():
            for at in range(0, len(audio), FRAME):
                socket.transcribe_streaming_pulse_send_audio(audio[at : at + FRAME])
            socket.transcribe_streaming_pulse_send_close_stream(PulseCloseStreamSignalMessage(type="close_stream"))

        sender = threading.Thread(target=send)
        sender.start()
        for message in socket:
            (finals if getattr(message, "is_final", None) else others).append(message)
            if getattr(message, "is_last", None):
                is_last = True
                break
        sender.join()
    return finals, others, is_last


def wav_of(audio):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(linear(audio))
    return file.getvalue()


def main(program):
    environment = {**os.environ, "PULSE_BRIDGE_DATA_DIR": str(ROOT / "data")}
    service = subprocess.Popen(
        [program, "emulate", "--listen", "127.0.0.1:0", "--engine", "local", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        address = json.loads(service.stdout.readline())["ready"].split("/")[2]
        client = SmallestAI(
            api_key="sk_any",
            environment=SmallestAIEnvironment(
                atoms=f"http://{address}", waves=f"http://{address}", waves_ws=f"ws://{address}"
            ),
        )
        audio = (ROOT / "fixtures/pay-by-card/inbound.ulaw").read_bytes()
        finals, others, is_last = stream(client, audio)
        text = " ".join((final.transcript or "").strip() for final in finals)
        check(CARD in digits(text), "smallestai: the card number that was spoken is in the streamed transcript")
        check("pay my bill" in text.lower(), "smallestai: so are the words")
        check(is_last and not (finals[-1].transcript or "").strip(), "smallestai: the stream ends with a last, empty final")
        words = [word for final in finals for word in final.words or []]
        placed = all(word.start <= word.end <= len(audio) / 8000 and 0 <= word.confidence <= 1 for word in words)
        check(words and placed, "smallestai: every word has times within the audio and a confidence")
        check(all(before.start <= after.start for before, after in zip(words, words[1:])), "smallestai: in their order")
        check(any(type(other).__name__.startswith("Pulse") for other in others), "smallestai: interims and voice activity are typed")
        figures = {"additional_query_parameters": {"numerals": "true"}}
        try:
            urllib.request.urlopen(f"http://{address}/emulate/log")
            is_kept = True
        except urllib.error.HTTPError as refused:
            is_kept = refused.code != 404
        check(not is_kept, "what was said is kept nowhere: there is no log to read")
        answer = client.waves.transcribe_pulse(
            request=wav_of(audio), language="en", word_timestamps=True, request_options=figures
        )
        check(CARD in digits(answer.transcription or ""), "smallestai: the card number is in the batch transcript of a WAV")
    finally:
        service.send_signal(signal.SIGTERM)
        ended = service.wait(20)
    check(ended == 0, "the engine's service ends with exit code 0 when it is told to")


if __name__ == "__main__":
    main(*sys.argv[1:])
