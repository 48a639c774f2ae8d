#!/bin/sh
# Measures what a fleet costs: the same targets once on this machine alone, and once by AGENTS agents and a server,
# all on this machine, in networks of their own where every target refuses at once.
#     unshare -n sh tests/bench/fleet.sh TARGETS [SHARD [AGENTS]]
# NATS is the server's program, NATS_VERSION what `server-config --nats` is given.
set -eu
program=$(cd "$(dirname "$0")/../.." && pwd)/target/release/pathspider
targets=${1:-10000} shard=${2:-} count=${3:-8}
folder=$(mktemp -d)
agents= server= collector=
trap 'kill $agents $server $collector 2>/dev/null || :; wait; rm -rf "$folder"' EXIT
cd "$folder"
ip link set lo up
awk -v n="$targets" 'BEGIN { for (i = 0; i < n; i++)
	printf "{\"dip\":\"127.%d.%d.%d\",\"dp\":80}\n", 1 + int(i / 65536), int(i / 256) % 256, i % 256 }' >targets.ndjson
cat >campaign.toml <<END_OF_FILE
name = "figures"
targets = "targets.ndjson"
allow_special = true
workers = 200
[[measure]]
plugin = "dscp"
connect = "tcp"
timeout = 1
END_OF_FILE
"$program" campaign server-config --output nats --listen 0.0.0.0:4222 --nats "${NATS_VERSION:-2.15}" 2>/dev/null
"${NATS:-nats-server}" -c nats/nats-server.conf -m 8222 >nats.log 2>&1 &
server=$!
# An older server does not know all words of a newer one's configuration.
lives() { kill -0 $server 2>/dev/null || { echo "the server ended: is it of version ${NATS_VERSION:-2.15}? \
NATS names another program, NATS_VERSION its version" >&2; exit 1; }; }
now() { date +%s.%N; }
# The processor time of a process, and of those that it has waited for, in hundredths of a second.
used() { awk '{ print $14 + $15 + $16 + $17 }' "/proc/$1/stat"; }
per() { awk -v n="$1" -v time="$2" 'BEGIN { printf "%.0f µs of processor time a target", time / n * 10000 }'; }
rate() { awk -v n="$1" -v from="$2" -v to="$3" 'BEGIN { printf "%.0f targets/s", n / (to - from) }'; }
peak() { sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null; }

from=$(now) before=$(used $$)
"$program" campaign run campaign.toml --output local -i lo 2>local.log
echo "alone: $(rate "$targets" "$from" "$(now)"), $(per "$targets" $(($(used $$) - before)))"

# Each place has a network of its own, as far places have: what one sends, no other one captures.
for place in $(seq "$count"); do
	unshare -n sh -ec 'ip link set lo up
		until ip link set place up 2>/dev/null; do sleep 0.01; done
		ip addr add "10.9.$0.2/24" dev place
		exec "$@"' "$place" "$program" agent --server "nats://10.9.$place.1:4222" --vantage "v$place" \
		--state "state-$place" -i lo 2>"agent-$place.log" &
	agents="$agents $!"
	while [ "$(readlink "/proc/$!/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	ip link add "place$place" type veth peer name place netns $!
	ip addr add "10.9.$place.1/24" dev "place$place"
	ip link set "place$place" up
done
for place in $(seq "$count"); do
	until grep -q 'the agent is ready' "agent-$place.log"; do lives; sleep 0.1; done
done
from=$(now) before=$(used $$)
"$program" campaign submit campaign.toml --server nats://127.0.0.1:4222 ${shard:+--shard "$shard"}
# Until all places are there. Who looks is no part of the fleet.
looking=$(used $$)
until [ "$("$program" campaign status figures --server nats://127.0.0.1:4222 --json | grep -c '"silent"')" -eq "$count" ]; do
	sleep 0.1
done
looking=$(($(used $$) - looking))
"$program" campaign collect figures --wait --server nats://127.0.0.1:4222 --output out &
collector=$!
while kill -0 $collector 2>/dev/null && memory=$(peak $collector) && [ -n "$memory" ]; do
	of_collector=$memory
	sleep 0.2
done
wait $collector
collector= to=$(now)
all=$((count * targets))
time=$(($(used $$) - before - looking + $(used $server)))
for process in $agents; do time=$((time + $(used "$process"))); done
echo "fleet: $(rate "$all" "$from" "$to"), $(per "$all" $time)"
for process in $agents; do peak "$process"; done | sort -n | tail -1 | sed 's/^/an agent, at most: /'
echo "the collector, at most: $of_collector"
echo "the server, at most: $(peak $server)"
curl --silent http://127.0.0.1:8222/varz 2>/dev/null | awk -v n="$all" '/"(in|out)_(msgs|bytes)"/ {
	gsub(/[",:]/, ""); printf "the server: %s %.4f a target\n", $1, $2 / n }'
du -sb nats/store out
