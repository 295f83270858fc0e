#!/usr/bin/env bash
# Runs `serve` and `replay` against peers written by others: see peers.py. Needs python3; installs the rest into a venv of its own.
# PULSE_BRIDGE names the binary; without it one is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
if [ -z "${PULSE_BRIDGE:-}" ]; then
  cargo build --quiet
  PULSE_BRIDGE=$target/debug/pulse-bridge
fi
venv=$target/peers-venv
wanted=$(cat tests/peers/requirements.txt)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/peers/requirements.txt
  printf '%s' "$wanted" >"$venv/installed"
fi
exec "$venv/bin/python" tests/peers/peers.py "$(realpath "$PULSE_BRIDGE")"
