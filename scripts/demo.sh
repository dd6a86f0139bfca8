#!/usr/bin/env bash
# Trains on a recorded day of Redis, then streams a recorded incident through `tailrace watch`.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=demo-out
recording=tests/fixtures/redis
rm -rf "$out"
mkdir -p "$out/live"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

say "1/3  Learning what is normal from a recorded day of a Redis server and its replica"
tailrace-train fit "$recording/train" --out "$out/bundle"

say "2/3  Watching $out/live while four hours of another day are written to it"
echo "     (somebody sends Redis a bad configuration at 16:06; tailrace has never seen this day)"
tailrace watch "$out/live" --bundle "$out/bundle" --state "$out/state.db" --from start \
    2>"$out/watch.log" &
watch=$!
trap 'kill "$watch" 2>/dev/null || true' EXIT
python scripts/feed.py "$recording/bad-reload" "$out/live"
kill -TERM "$watch"
wait "$watch"
trap - EXIT
# What was written last may not have been read yet; the state file knows where to go on.
tailrace watch "$out/live" --bundle "$out/bundle" --state "$out/state.db" --once 2>>"$out/watch.log"

say "3/3  The alerts, read back from the state file"
tailrace alerts list --state "$out/state.db"

say "What was learnt is in the training report: $out/bundle/report.html"
cat <<'END'

The same on your own logs:
  .venv/bin/tailrace-train fit /var/log/myapp --out bundle
  .venv/bin/tailrace watch /var/log/myapp --bundle bundle --state tailrace.db
  .venv/bin/tailrace alerts list --state tailrace.db
END
