#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/prmpath-key: the same key each time, a different one for each
# machine, and a clear refusal of what is no machine-id.
#
# usage: test-prmpath-key.sh [PATH OF prmpath-key]

set -u
key=${1:-$(dirname "$0")/../../scripts/prmpath-key}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

bad() {
	printf 'not ok: %s\n' "$1" >&2
	failed=1
}

run() { # WORDS...: sets out, err and code
	out=$("$key" "$@" 2>"$dir/err")
	code=$?
	err=$(cat "$dir/err")
}

refuses() { # CODE TEXT WORDS...: TEXT on stderr, nothing on stdout
	want=$1
	text=$2
	shift 2
	run "$@"
	[ "$code" -eq "$want" ] || bad "'$*': status $code, not $want"
	[ -z "$out" ] || bad "'$*' printed '$out'"
	case $err in
	*"$text"*) ;;
	*) bad "'$*': '$err' lacks '$text'" ;;
	esac
}

content_refused() { # CONTENT TEXT
	printf '%b' "$1" >"$dir/id"
	refuses 1 "$2" --machine-id "$dir/id"
	case $err in
	*"$dir/id"*) ;;
	*) bad "'$err' does not name the file" ;;
	esac
}

# A fixed pair: the key of a machine must never change from release to release.
echo 0123456789abcdef0123456789abcdef >"$dir/a"
run --machine-id "$dir/a"
[ "$code$out" = 00x16b58416671e009e ] || bad "the key of a known machine-id is '$out' (status $code)"
first=$out
run --machine-id="$dir/a"
[ "$out" = "$first" ] || bad "a second run printed '$out', not '$first'"
printf 0123456789abcdef0123456789abcdef >"$dir/b"
run --machine-id "$dir/b"
[ "$out" = "$first" ] || bad "without a newline it printed '$out', not '$first'"

i=100
while [ $i -lt 150 ]; do
	printf '%032d\n' $i >"$dir/id"
	run --machine-id "$dir/id"
	case $out in
	0x1[!0-9a-f]*) bad "'$out' is not a key" ;;
	0x1???????????????) echo "$out" >>"$dir/keys" ;;
	*) bad "'$out' is not a key" ;;
	esac
	i=$((i + 1))
done
[ "$(sort -u "$dir/keys" | wc -l)" -eq 50 ] || bad "50 machines have fewer keys"

# A key that was chosen; one that cannot be read never becomes another.
echo 0x000000000000abc1 >"$dir/key"
run --key-file "$dir/key"
[ "$code$out" = 00x000000000000abc1 ] || bad "the chosen key is '$out' (status $code)"
run --key-file "$dir/key" --machine-id "$dir/a"
[ "$out" = "$first" ] || bad "--machine-id printed '$out', not '$first'"
for text in '' 0x12 0x0000000000000000 0x00000000000000zz 1234567890123456789; do
	printf '%s' "$text" >"$dir/key"
	refuses 1 "$dir/key" --key-file "$dir/key"
done
refuses 2 'expected a file' --key-file

content_refused '' 'is empty'
content_refused '\n' 'is empty'
content_refused 'uninitialized\n' 'uninitialized'
content_refused '0123456789abcdef\n' 'has 16 digits'
content_refused '0123456789abcdef0123456789abcdef0\n' 'has 33 digits'
content_refused '0123456789ABCDEF0123456789ABCDEF\n' 'not a machine-id'
content_refused '0123456789abcdef 123456789abcdef\n' 'not a machine-id'
content_refused '00000000000000000000000000000000\n' 'all zeros'
refuses 1 'is missing' --machine-id "$dir/none"
refuses 1 'not a file' --machine-id "$dir"
refuses 2 'expected a file' --machine-id
refuses 2 "unknown argument '--frob'" --frob
refuses 2 "Try 'prmpath-key --help'" extra

run --help
[ "$code" -eq 0 ] || bad "--help: status $code"
case $out in
Usage:*) ;;
*) bad "--help printed '$out'" ;;
esac
"$key" --machine-id "$dir/a" >/dev/full 2>/dev/null && bad "a full disk goes unnoticed"
"$key" --machine-id "$dir/a" >&- 2>/dev/null && bad "a closed stdout goes unnoticed"

[ $failed -eq 0 ] && echo "test-prmpath-key: pass"
exit $failed
