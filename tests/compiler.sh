#!/usr/bin/env bash
# What cargo runs in place of the compiler, for each crate of ours, while `make test` compiles. clippy's driver is the
# compiler with the lints. What is no test is documented too, from the libraries that are compiled anyway. So `cargo
# clippy` and `cargo doc` need not check all of it once more (`make lint` runs those).
#
# It is bash: some of cargo's variables have hyphens in their names, and Debian's sh loses those.
set -euo pipefail
# Tests of a crate's insides are compiled with all of it once more: without optimising.
case " $* " in
*' --test '*) set -- "$@" -C opt-level=0 ;;
esac
clippy-driver "$@"
shift

# The compiler's arguments, without those that name what it writes or links.
arguments=() name='' kind='' folder='' previous=''
for word; do
	case "$previous $word" in
	*' --test' | *' -') exit ;;
	'--out-dir '*) folder=$word ;;
	*' --out-dir' | *' --emit='* | *' -l' | '-l '*) ;;
	*) arguments+=("$word") ;;
	esac
	case $previous in
	--crate-name) name=$word ;;
	--crate-type) kind=$word ;;
	esac
	previous=$word
done
[[ -n $folder && $name != build_script_build ]] || exit 0

# What `cargo doc` adds for a program.
[[ $kind != bin ]] || arguments+=(--document-private-items --allow rustdoc::private-intra-doc-links)
# A program and a library may have one name.
exec rustdoc "${arguments[@]}" -D warnings --out-dir "$folder/../doc/$kind"
