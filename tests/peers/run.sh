#!/usr/bin/env bash
# Runs `serve`, `replay` and `emulate` against peers written by others: see peers.py and engine.py. Needs python3; installs the rest into folders of its own.
# With node and npm the signatures are verified by npm's standardwebhooks too.
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
modules=$target/peers-node
if command -v node >/dev/null && command -v npm >/dev/null; then
  wanted=$(cat tests/peers/package.txt)
  if [ "$(cat "$modules/installed" 2>/dev/null)" != "$wanted" ]; then
    mkdir -p "$modules"
    npm install --silent --no-audit --no-fund --no-save --prefix "$modules" "$wanted"
    printf '%s' "$wanted" >"$modules/installed"
  fi
  STANDARDWEBHOOKS_MODULES=$(realpath "$modules")
  export STANDARDWEBHOOKS_MODULES
else
  echo '!! SKIPPED: npm standardwebhooks: there is no node or no npm here' >&2
fi
"$venv/bin/python" tests/peers/peers.py "$(realpath "$PULSE_BRIDGE")"
if "$PULSE_BRIDGE" engine status >/dev/null 2>&1; then
  exec "$venv/bin/python" tests/peers/engine.py "$(realpath "$PULSE_BRIDGE")"
fi
[ -z "${CI:-}" ] || { echo 'FAILED  in CI the speech engine is installed before' >&2; exit 1; }
echo '!! SKIPPED: smallestai against the built-in engine: there is none in ./data (pulse-bridge engine install)' >&2
