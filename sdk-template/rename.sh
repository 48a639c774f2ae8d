#!/bin/sh
# Makes this crate one's own: `sh rename.sh NAME [CONTACT]`, once, in the copy. NAME is what stands on
# the command line (`pathspider measure NAME`): lower-case letters and digits, a letter first. CONTACT
# is whom to ask about the plugin: a mail address or a URL.
set -eu
cd "$(dirname "$0")"
name=${1-}
case "$name" in
    '' | [0-9]* | *[!a-z0-9]*)
        echo "usage: sh rename.sh NAME [CONTACT] (NAME: lower-case letters and digits)" >&2
        exit 2 ;;
esac
type=$(printf %.1s "$name" | tr a-z A-Z)${name#?}
sed -i "s/pathspider-example/pathspider-$name/" Cargo.toml
sed -i "s/pathspider_example/pathspider_$name/g" tests/plugin.rs README.md
# Types, and the names of the measurement, its conditions, its chain and the chain's fields.
sed -i "s/\bExample\b\([^:]\)/${type}Measurement\1/g; s/\bHops\b/${type}Chain/g" \
    src/*.rs tests/plugin.rs README.md
sed -i "s/\"example\([\".]\)/\"$name\1/; s/\"Example: /\"$type: /" src/measurement.rs
sed -i "s/CHAIN = \"hops\"/CHAIN = \"${name}_hops\"/; s/\"hops_/\"${name}_hops_/" src/chain.rs
sed -i "s/example\([].]\)/$name\1/g" lab/*.toml
sed -i "1s/.*/# $name/" README.md
rm -f Cargo.lock
# Templates of other languages.
rm -rf c python
sed -i '/^`c\/` and `python\/`/,+1d' README.md
if [ -n "${2-}" ]; then
    contact=$(printf %s "$2" | sed 's/[\\&|"]/\\&/g')
    sed -i "s|https://example.org/whom-to-ask|$contact|" src/measurement.rs
else
    echo "src/measurement.rs: say in \`contact\` whom to ask about the plugin"
fi
echo "Cargo.toml, README.md, src/measurement.rs: say what it measures, where that changes"
