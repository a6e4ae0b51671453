#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The prmpath command as it is built: usage errors and standard descriptors.
# No device is needed; what a device is needed for is in test_tools.c.
#
# usage: test-prmpath.sh PATH OF prmpath

set -u
prmpath=${1:-$(dirname "$0")/../../tools/prmpath}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

bad() {
	printf 'not ok: %s\n' "$1" >&2
	failed=1
}

refuses() { # CODE TEXT WORDS...: TEXT and the hint on stderr, nothing on stdout
	want=$1
	text=$2
	shift 2
	out=$("$prmpath" "$@" 2>"$dir/err")
	code=$?
	err=$(cat "$dir/err")
	[ "$code" -eq "$want" ] || bad "'$*': status $code, not $want"
	[ -z "$out" ] || bad "'$*' printed '$out'"
	case $err in
	"prmpath"*"$text"*"Try 'prmpath --help'"*) ;;
	*) bad "'$*': '$err' lacks '$text' or the hint" ;;
	esac
}

[ -x "$prmpath" ] || {
	echo "test-prmpath: $prmpath is not built" >&2
	exit 1
}

refuses 2 'no subcommand'
refuses 2 "unknown subcommand 'frob'" frob
refuses 2 "unknown option '-x'" -x
refuses 2 'no device' open
refuses 2 "'true' after the device" open dev true
refuses 2 'no command' open dev --
refuses 2 "unrecognized option '--forcd'" open --forcd dev -- true
refuses 2 'stands alone' open --bypass --single dev -- true
refuses 2 "unknown column 'X'" status -o X
refuses 2 "requires an argument" status --output

for words in --help 'open --help' 'status -h'; do
	# shellcheck disable=SC2086 # words
	"$prmpath" $words >"$dir/out" 2>"$dir/err" || bad "$words fails"
	grep -q '^Usage:' "$dir/out" || bad "$words prints no usage"
	[ -s "$dir/err" ] && bad "$words complains"
done
"$prmpath" --version | grep -q '^prmpath ' || bad "--version prints no version"

# Output that is lost is a failure.
"$prmpath" --help >/dev/full 2>"$dir/err" && bad "a full disk goes unnoticed"
grep -q 'cannot write' "$dir/err" || bad "a full disk is not named"
"$prmpath" --help >&- 2>"$dir/err" && bad "a closed stdout goes unnoticed"
grep -q 'cannot write' "$dir/err" || bad "a closed stdout is not named"

# A misspelt command is found before any open.
"$prmpath" open /dev/null -- no-such-command 2>"$dir/err"
[ $? -eq 127 ] || bad "a missing command is not 127"
grep -q 'nothing was opened' "$dir/err" || bad "a missing command is not named"
"$prmpath" open /dev/null -- /etc/passwd 2>"$dir/err"
[ $? -eq 126 ] || bad "a file that is no program is not 126"
# With the module or without it.
"$prmpath" open /dev/null -- true 2>"$dir/err"
[ $? -eq 8 ] || bad "/dev/null passes as a prmpath device"

[ $failed -eq 0 ] && echo "test-prmpath: pass"
exit $failed
