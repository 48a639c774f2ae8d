#!/bin/sh
# The first hour of somebody new: from a clean clone to a report, by the commands that the pages show.
# `run.sh` builds everything in the clone. `run.sh FOLDER` takes what is built already from there
# (target/release). As root, for it measures; all of it is in networks of its own.
set -eu
repository=$(cd "$(dirname "$0")/../.." && pwd)
built=${1:+$(cd "$1" && pwd)}
hour=$(mktemp -d)
trap 'status=$?; rm -rf "$hour"; exit $status' EXIT
# The compiler is the one that is there; all else is a new home's.
export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
export HOME="$hour/home" PATHSPIDER_STATE_DIR="$hour/state" MAKEFLAGS=
unset CARGO_TARGET_DIR
mkdir -p "$HOME"
# The repository may be another user's.
printf '[safe]\n\tdirectory = *\n' >"$HOME/.gitconfig"
began=$(date +%s)

step() {
    printf '%4d s  %s\n' $(($(date +%s) - began)) "$*"
}

# Does what a command is expected to: `ends STATUS COMMAND…`, with its output in $said.
said="$hour/said"
ends() {
    expected=$1
    shift
    status=0
    "$@" >"$said" 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || { cat "$said"; echo "status $status, not $expected: $*" >&2; exit 1; }
}

says() {
    grep -q -e "$1" "$said" || { cat "$said"; echo "it does not say: $1" >&2; exit 1; }
}

# A command that a page shows, as it is there.
shown() {
    grep -qF -e "$2" "$1" || { echo "$1 does not show: $2" >&2; exit 1; }
}

step "a clean clone"
if git -C "$repository" rev-parse -q --git-dir >/dev/null 2>&1; then
    git clone -q --no-hardlinks "$repository" "$hour/pathspider"
else
    # Sources that came without their history.
    mkdir "$hour/pathspider"
    tar -C "$repository" --exclude=./target --exclude='*/target' -cf - . | tar -C "$hour/pathspider" -xf -
fi
cd "$hour/pathspider"

shown README.md 'make build && sudo make install'
if [ -n "$built" ]; then
    step "what is built is taken from $built"
    mkdir target && ln -s "$built" target/release
else
    step "make build"
    make build
fi
release="$hour/pathspider/target/release"

step "make install"
# Into a folder of the hour's own.
ends 0 make install DESTDIR="$hour/installed" PREFIX=/usr
PATH="$hour/installed/usr/bin:$PATH"
sdk="$hour/installed/usr/lib/pathspider/sdk"
ends 0 pathspider --version
ends 0 pathspider --list-plugins
says '^ecn '

step "README: the first measurement, of a name"
shown README.md 'pathspider doctor'
shown README.md "echo '{\"domain\": \"www.example.org\"}' >targets.ndjson"
shown README.md 'pathspider measure --resolve --input targets.ndjson ecn'
echo '{"domain": "www.example.org"}' >"$hour/targets.ndjson"
ends 0 pathspider-lab run ecn-clean -- sh -c "
    pathspider doctor >'$hour/doctor' 2>&1
    pathspider measure --allow-special --resolve --input '$hour/targets.ndjson' ecn"
says '"ecn.connectivity.works","ecn.negotiation.succeeded"'
grep -q resolver "$hour/doctor"

step "README: a path of the lab"
shown README.md 'pathspider-lab run ecn-syn-stripped --'
shown README.md "sh -c 'pathspider measure --allow-special --input \$LAB_JOBS ecn'"
ends 0 pathspider-lab run ecn-syn-stripped -- sh -c 'pathspider measure --allow-special --input $LAB_JOBS ecn'
says 'ecn.negotiation.failed'

step "a broken path is found with trace"
ends 14 pathspider-lab run tests/first-hour/paths.toml -- pathspider trace --allow-special bleached.lab
says 'hop'

step "a plugin from each template: C, Python, Rust"
plugins="$hour/plugins"
mkdir "$plugins"
cp -r sdk-template/c "$hour/inc"
mv "$hour/inc/cexample.c" "$hour/inc/inc.c"
sed -i s/cexample/inc/g "$hour/inc/inc.c" "$hour"/inc/lab/*.toml
ends 0 make -C "$hour/inc" SHIM="$sdk/libpathspider_c.a"
install -m 644 "$hour/inc/inc.so" "$plugins"
cp -r sdk-template/python "$hour/inpython"
sed s/pyexample/inpython/g "$hour/inpython/pyexample.py" >"$plugins/inpython.py"
sed -i s/pyexample/inpython/g "$hour"/inpython/lab/*.toml
install -m 644 "$sdk/libpathspider_python.so" "$plugins/inpython.so"
(cd sdk-template/python && ends 0 env PYTHONDONTWRITEBYTECODE=1 python3 -m unittest)
paths="$hour/inc/lab/near.toml $hour/inpython/lab/near.toml"
if [ -z "$built" ]; then
    cp -r sdk-template "$hour/inrust"
    ends 0 sh "$hour/inrust/rename.sh" inrust me@example.org
    sed -i "s|\"../plugin-api\"|\"$PWD/plugin-api\"|" "$hour/inrust/Cargo.toml"
    (cd "$hour/inrust" && cargo build --release --quiet)
    install -m 644 "$hour/inrust/target/release/libpathspider_inrust.so" "$plugins"
    paths="$paths $hour/inrust/lab/near.toml"
fi
for plugin in "$plugins"/*.so; do
    ends 0 pathspider check "$plugin"
done
export PATHSPIDER_PLUGIN_PATH="$plugins"
for path in $paths; do
    ends 0 pathspider-lab check "$path"
    says 'measured as it is'
done

step "a campaign with three vantage points"
mkdir "$hour/study"
cp tests/first-hour/study.toml tests/first-hour/targets.csv "$hour/study"
ends 0 pathspider campaign check "$hour/study/study.toml"
ends 0 pathspider-lab run tests/first-hour/paths.toml -- sh -c "
    cd '$hour/study'
    for place in \$LAB_VANTAGE_1 \$LAB_VANTAGE_2 \$LAB_VANTAGE_3; do
        number=\$((\${number:-0} + 1))
        nsenter --net=\"\$place\" pathspider campaign run study.toml --vantage place-\$number \
            --output study-\$number &
        running=\"\$running \$!\"
    done
    for one in \$running; do wait \$one || exit; done"

step "a report"
ends 0 pathspider report --by vantage --html "$hour/report.html" "$hour"/study/study-*
ends 0 pathspider report --by vantage --min 1 "$hour"/study/study-*
for place in place-1 place-2 place-3; do says "$place"; done
# Some targets' paths are broken from one place alone.
says 'ecn.multipoint.connectivity.path_dependent'
says 'dscp.multipoint.46.connectivity.path_dependent'
grep -q '</html>' "$hour/report.html"

step "the first hour is over"
