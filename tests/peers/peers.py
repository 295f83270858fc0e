"""Drives the real binary with peers that this project did not write.

  caller           PyPI streamdouble, as a fork with both tracks (it cannot sign: path token, no auth token set)
  speech service   a stand-in on PyPI websockets, plain ws://, answering as protocols describe Pulse
  receiver         http.server, every event verified by PyPI standardwebhooks and, where there is a node, by npm standardwebhooks, under each
                   of the endpoint's two active secrets alone (verify.mjs)
  signature        PyPI twilio's RequestValidator judges the header that `replay --sign-with` sends

Prints one line a check and exits 1 at the first that fails.
"""

import asyncio
import hashlib
import http.server
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path

import websockets
from standardwebhooks.webhooks import Webhook
from streamdouble import api as streamdouble
from streamdouble.session import SessionConfig
from twilio.request_validator import RequestValidator

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "fixtures" / "pay-by-card"
# Two active ones, as while they are changed.
SECRETS = ["whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"]
STRANGER = "whsec_" + "A" * 32
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
PATH_TOKEN = "path-token-for-the-peer-test"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
API_KEY = "sk_a-key-that-must-not-leak"
SPOKEN = {
    "inbound": "my card is four five three nine one four eight eight zero three four three six four six seven thanks",
    "outbound": "thank you and is ann at example dot com still your address",
}
SECONDS = 8  # of the fixture, so that the check is quick


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED  {what}")
    print(f"ok      {what}", flush=True)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Verifies every event with somebody else's library and keeps it."""

    events: "queue.Queue[dict]" = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: self.headers[name] for name in HEADERS}
        try:
            event = [Webhook(secret).verify(body, headers) for secret in SECRETS][0]
        except Exception as why:  # the verifier's own words
            event = {"type": "refused", "why": repr(why)}
        self.events.put({"event": event, "raw": body.decode(), "id": self.headers["webhook-id"], "headers": headers})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Service:
    """A speech service that says SPOKEN once each track has sent two seconds, and hashes what it hears."""

    def __init__(self):
        self.heard = {}
        self.requests = []

    async def serve(self, socket):
        request = socket.request
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
        self.requests.append((query, dict(request.headers.raw_items())))
        track = query["external_session_id"].rsplit(".", 1)[-1]
        digest, length, said = hashlib.sha256(), 0, False
        async for message in socket:
            if isinstance(message, bytes):
                digest.update(message)
                length += len(message)
                if length >= 16000 and not said:
                    said = True
                    await socket.send(json.dumps(self.final(SPOKEN[track], length)))
            elif json.loads(message)["type"] == "close_stream":
                self.heard[track] = (digest.hexdigest(), length)
                await socket.send(json.dumps(self.final("", length) | {"is_last": True}))
                return

    @staticmethod
    def final(text, length):
        words = text.split()
        step = length / 8000 / (len(words) or 1)
        return {
            "type": "transcription", "status": "success", "session_id": "peer", "transcript": " " + text,
            "is_final": True, "is_last": False, "language": "en",
            "words": [
                {"word": word, "start": i * step, "end": (i + 1) * step, "confidence": 0.9, "speaker": 0}
                for i, word in enumerate(words)
            ],
        }


def environment(**more):
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE_BRIDGE", "TWILIO", "SMALLEST"))}
    return keep | more


def frames(track):
    audio = (FIXTURE / f"{track}.ulaw").read_bytes()[: SECONDS * 8000]
    return [audio[at : at + 160] for at in range(0, len(audio), 160)]


async def bridge_with_peers(binary):
    service = Service()
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as data:
        async with websockets.serve(service.serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            env = environment(
                PULSE_BRIDGE_LISTEN="127.0.0.1:0",
                PULSE_BRIDGE_DATA_DIR=data,
                PULSE_BRIDGE_UPSTREAM_URL=f"ws://127.0.0.1:{port}/waves/v1/stt/live",
                SMALLEST_API_KEY=API_KEY,
                PULSE_BRIDGE_WEBHOOK_URL=f"http://127.0.0.1:{receiver.server_port}/hook",
                PULSE_BRIDGE_WEBHOOK_SECRET=",".join(SECRETS),
                PULSE_BRIDGE_INGEST_TOKENS=PATH_TOKEN,
                PULSE_BRIDGE_LOG_FORMAT="json",
                RUST_LOG="trace",
            )
            log = Path(data) / "stderr"
            with log.open("wb") as stderr:
                bridge = await asyncio.create_subprocess_exec(binary, "serve", env=env, stdout=subprocess.PIPE, stderr=stderr)
                try:
                    address = await ready(bridge)
                    await call(address)
                    events = await asyncio.to_thread(until_completed)
                finally:
                    bridge.terminate()
                    await asyncio.wait_for(bridge.wait(), 30)
            check(bridge.returncode == 0, "serve ends with exit code 0 when it is told to stop")
            judge(service, events, log.read_bytes().decode())


async def ready(bridge):
    """The start line on stdout says where the bridge listens."""
    line = (await asyncio.wait_for(bridge.stdout.readline(), 20)).decode()
    return next(word for word in line.split() if word.startswith("http://")).removeprefix("http://")


async def call(address):
    config = SessionConfig(
        fork=True, tracks=["inbound", "outbound"], agent_frames=frames("outbound"), strict_fork=True,
        quiet_period_s=0.2, max_drain_s=0.5, response_timeout_s=0.2, custom_parameters={"tenant": "blue", "who": "ann@example.com"},
    )
    report = await streamdouble.call(f"ws://{address}/media/twilio/{PATH_TOKEN}", frames=frames("inbound"), config=config)
    check(not report.violations, "streamdouble saw no breach of Twilio's protocol")


def until_completed():
    events = []
    while not events or events[-1]["event"].get("type") != "call.completed":
        events.append(Receiver.events.get(timeout=40))
        if events[-1]["event"]["type"] == "refused":
            sys.exit(f"FAILED  standardwebhooks refused an event: {events[-1]['event']['why']}")
    return events


def judge(service, events, log):
    bodies = [event["event"] for event in events]
    check([body["data"]["seq"] for body in bodies] == list(range(1, len(bodies) + 1)), f"{len(bodies)} events verified by PyPI standardwebhooks under each of two secrets, seq without gaps")
    check(all(len(event["headers"]["webhook-signature"].split()) == 2 for event in events), "two secrets are two signatures")
    node(events)
    check(all(event["id"] == event["event"]["data"]["event_id"] for event in events), "webhook-id is the event's id")
    finals = {body["data"]["track"]: body["data"] for body in bodies if body["type"] == "transcript.final"}
    check(finals["inbound"]["role"] == "caller" and finals["outbound"]["role"] == "agent", "each track has its role")
    check("[CREDIT_CARD_1]" in finals["inbound"]["text"], "the spoken card number is masked")
    check("[EMAIL_" in finals["outbound"]["text"], "the spoken e-mail address is masked")
    done = bodies[-1]["data"]
    check(done["end_reason"] == "stop" and done["complete"], "the call is complete")
    for track, (digest, length) in service.heard.items():
        sent = b"".join(frames(track))
        check((digest, length) == (hashlib.sha256(sent).hexdigest(), len(sent)), f"{track}: {length} bytes upstream, each as the phone sent it")
    check(len(service.heard) == 2, "one socket a track")
    for query, headers in service.requests:
        check((query["encoding"], query["sample_rate"]) == ("mulaw", "8000"), "audio is declared as mulaw at 8000")
        check({name.lower(): value for name, value in headers.items()}["authorization"] == f"Bearer {API_KEY}", "the key travels as Bearer")
    everything = log + "".join(event["raw"] for event in events)
    for secret in ("four five three nine", "ann@example.com", "ann at example", API_KEY, PATH_TOKEN, *SECRETS):
        check(secret not in everything, f"nothing shows {secret[:8]}…, at trace level either")


def node(events):
    """The same deliveries, judged by npm standardwebhooks; run.sh says where that is, if anywhere."""
    modules = os.environ.get("STANDARDWEBHOOKS_MODULES")
    if not modules:
        print("!! SKIPPED: npm standardwebhooks, there is no node here", flush=True)
        return
    lines = "".join(json.dumps({"raw": event["raw"], "headers": event["headers"]}) + "\n" for event in events)
    command = ["node", str(Path(__file__).with_name("verify.mjs")), modules, STRANGER, *SECRETS]
    told = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
    check(told.returncode == 0, f"{len(events)} events verified by npm standardwebhooks under each of two secrets {told.stderr.strip()}".rstrip())


async def signature(binary):
    seen = asyncio.get_running_loop().create_future()

    async def phone_side(socket):
        if not seen.done():
            seen.set_result(dict(socket.request.headers.raw_items()))
        async for _ in socket:
            pass

    async with websockets.serve(phone_side, "127.0.0.1", 0) as listening:
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/media/twilio"
        arguments = ["replay", str(FIXTURE), "--to", url, "--speed", "max", "--sign-with", AUTH_TOKEN]
        replay = await asyncio.create_subprocess_exec(binary, *arguments, env=environment(), stdout=subprocess.DEVNULL)
        headers = {name.lower(): value for name, value in (await asyncio.wait_for(seen, 20)).items()}
        check(await asyncio.wait_for(replay.wait(), 60) == 0, "replay ends with exit code 0")
    valid = RequestValidator(AUTH_TOKEN).validate(url, {}, headers["x-twilio-signature"])
    check(valid, "twilio's validator accepts the signature of replay --sign-with")


async def main():
    binary = sys.argv[1]
    await signature(binary)
    await bridge_with_peers(binary)
    print("passed  every check with peers written by others")


asyncio.run(main())
