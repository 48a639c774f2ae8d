#!/bin/sh
# Measures what a fleet costs: the same targets once on this machine alone, and once by 8 agents and a server, all
# on this machine, in a network of their own where every target refuses at once.
#     unshare -n sh tests/bench/fleet.sh TARGETS SHARD
# NATS is the server's program, NATS_VERSION what `server-config --nats` is given.
set -eu
program=$(cd "$(dirname "$0")/../.." && pwd)/target/release/pathspider
targets=${1:-10000} shard=${2:-1000}
folder=$(mktemp -d)
agents=
trap 'kill $agents $server 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
ip link set lo up
awk -v n="$targets" 'BEGIN { for (i = 0; i < n; i++)
	printf "{\"dip\":\"127.%d.%d.%d\",\"dp\":80}\n", 1 + int(i / 65536), int(i / 256) % 256, i % 256 }' >targets.ndjson
cat >campaign.toml <<END
name = "figures"
targets = "targets.ndjson"
allow_special = true
workers = 200
[[measure]]
plugin = "dscp"
connect = "tcp"
timeout = 1
END
"$program" campaign server-config --output nats --listen 127.0.0.1:4222 --nats "${NATS_VERSION:-2.15}" 2>/dev/null
"${NATS:-nats-server}" -c nats/nats-server.conf >nats.log 2>&1 &
server=$!
now() { date +%s.%N; }
rate() { awk -v n="$1" -v from="$2" -v to="$3" 'BEGIN { printf "%.0f targets/s\n", n / (to - from) }'; }
from=$(now)
"$program" campaign run campaign.toml --output local -i lo 2>local.log
echo "alone: $(rate "$targets" "$from" "$(now)")"
for place in 1 2 3 4 5 6 7 8; do
	"$program" agent --server nats://127.0.0.1:4222 --vantage "v$place" --state "state-$place" -i lo \
		2>"agent-$place.log" &
	agents="$agents $!"
done
from=$(now)
"$program" campaign submit campaign.toml --server nats://127.0.0.1:4222 --shard "$shard"
# Until all places are there.
until [ "$("$program" campaign status figures --server nats://127.0.0.1:4222 --json | grep -c '"silent"')" -eq 8 ]; do
	sleep 0.1
done
"$program" campaign collect figures --wait --server nats://127.0.0.1:4222 --output out
echo "fleet: $(rate $((8 * targets)) "$from" "$(now)")"
for process in $agents; do grep VmHWM "/proc/$process/status"; done | sort -k2n | tail -1 | sed 's/^VmHWM:/an agent, at most:/'
sed -n 's/^VmHWM:/the server, at most:/p' "/proc/$server/status"
du -sb nats/store out
