#!/bin/sh
# Makes this crate one's own: `sh rename.sh NAME`, once, in the copy. NAME is what stands on the
# command line (`pathspider measure NAME`): lower-case letters and digits.
set -eu
cd "$(dirname "$0")"
case "${1-}" in
    '' | *[!a-z0-9]*) echo "usage: sh rename.sh NAME (lower-case letters and digits)" >&2; exit 2 ;;
esac
sed -i "s/pathspider-example/pathspider-$1/" Cargo.toml
sed -i "s/pathspider_example/pathspider_$1/g" tests/plugin.rs README.md
sed -i "s/\"example\([\".]\)/\"$1\1/" src/measurement.rs
sed -i "s/example\([].]\)/$1\1/g" lab/*.toml
rm -f Cargo.lock
