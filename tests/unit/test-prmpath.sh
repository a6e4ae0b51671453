#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The prmpath command as it is built: usage errors and standard descriptors; the
# manuals, the completion and the library's example beside it; what is installed.
# No device is needed; what a device is needed for is in test_tools.c and
# test_command.c.
#
# usage: test-prmpath.sh PATH OF prmpath

set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
prmpath=$(realpath "${1:-$root/build/tools/prmpath}")
tools=${prmpath%/*}
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

refuses 2 'no device' query
refuses 2 'no name' create
refuses 2 'either paths' create data
refuses 2 'at least one path' add-path data
refuses 2 "unknown word 'frob'" key frob
refuses 2 "'a' after the device" hold dev a
refuses 2 'expected options only' metrics dev

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


# The key comes by another program: what it prints may be lost as well.
for word in show generate; do
	"$prmpath" key $word >/dev/full 2>"$dir/err" && bad "key $word: a full disk goes unnoticed"
	grep -q 'cannot write' "$dir/err" || bad "key $word: a full disk is not named"
done
"$prmpath" doctor >/dev/full 2>"$dir/err" && bad "doctor: a full disk goes unnoticed"
grep -q 'cannot write' "$dir/err" || bad "doctor: a full disk is not named"
"$prmpath" query -J nothing >"$dir/out" 2>"$dir/err"
[ $? -eq 2 ] || bad "query of nothing is not 2"
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["devices"] == []' "$dir/out" ||
	bad "query of nothing prints no JSON"

# Manuals: no warning, and every subcommand, option, exit status and function is in them.
for page in "$root"/man/*.[1-9]; do
	groff -man -Tutf8 -ww -z "$page" 2>"$dir/err"
	[ -s "$dir/err" ] && bad "$page: $(cat "$dir/err")"
done
manual() { # PAGE: its text, in wide lines and without hyphenation
	groff -man -Tascii -P-cbou -rHY=0 -rLL=400n "$root/man/$1"
}
manual prmpath.8 >"$dir/manual"
manual libprmpath.3 >"$dir/library"
"$prmpath" --help >"$dir/help"
subcommands=$(sed -n 's/^  prmpath \([a-z][a-z-]*\) .*/\1/p' "$dir/help")
[ "$(echo "$subcommands" | wc -l)" -ge 15 ] || bad "--help lists '$subcommands'"
for sub in $subcommands; do
	grep -q "prmpath $sub" "$dir/manual" || bad "prmpath.8 has no '$sub'"
	for option in $("$prmpath" "$sub" --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' |
		grep -oE -- '--[a-z-]+'); do
		grep -qF -- "$option" "$dir/manual" || bad "prmpath.8 has no '$sub $option'"
	done
done
for code in $(sed -n 's/^ *\([0-9]*\)  .*/\1/p' "$dir/help"); do
	grep -qE "^ +$code( |$)" "$dir/manual" || bad "prmpath.8 has no exit status $code"
done
metrics=$(grep -oE '\bprmpath_[a-z_]+' "$root/tools/metrics.c" | sort -u)
[ "$(echo "$metrics" | wc -l)" -ge 15 ] || bad "metrics.c has '$metrics'"
for metric in $metrics; do
	grep -qw "$metric" "$dir/manual" || bad "prmpath.8 has no metric $metric"
done
functions=$(grep -oE '\bprm_[a-z_]+\(' "$root/tools/libprmpath.h" | grep -v '()' | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$tools/libprmpath.so.1" | awk '$2 == "T" { print $3 }' |
	sed 's/@.*//' | sort -u)
[ "$functions" = "$exported" ] || bad "the header has $functions, the library $exported"
for function in $functions; do
	grep -q "$function" "$dir/library" || bad "libprmpath.3 has no $function()"
done
objdump -p "$tools/libprmpath.so.1" | grep -q 'SONAME *libprmpath.so.1' || bad "no SONAME"

# What the module knows, by its own tables, is told in dm-prmpath.7 and in the README.
manual dm-prmpath.7 >"$dir/target"
told() { # WHAT WORD...
	what=$1
	shift
	[ $# -ge 2 ] || bad "no $what found in the sources"
	for word; do
		for text in "$dir/target" "$root/README.md"; do
			grep -qwF -- "$word" "$text" || bad "${text##*/} has no $what '$word'"
		done
	done
}
quoted() { # PATTERN FILE: the first word in quotes of the lines
	sed -n "/$1/s/[^\"]*\"\([a-z_-]*\)\".*/\1/p" "$root/$2"
}
# shellcheck disable=SC2046 # words
{
	told feature queue_if_no_path $(sed -n '/ features\[\] = {/,/^};/p' "$root/table.c" |
		sed -n 's/^.{ "\([a-z_]*\)".*/\1/p')
	told message $(quoted ', message_[a-z]*[ ,]' dm-prmpath.c)
	told state off unknown foreign $(quoted '\[PR_STATE_[A-Z_]*\] = "' pr_map.c)
	told event $(quoted '{ PR_EVENT_[A-Z]*, "' lun.c) $(quoted 'uevent(lun, "' lun.c)
	told selector $(quoted '\.name = "' path_select.c)
	told 'module option' $(sed -n 's/^module_param(\([a-z_]*\),.*/\1/p' "$root"/*.c)
	told 'open option' default $(sed -n '/} options\[\] = {/,/^};/p' "$root/table.c" |
		sed -n 's/^.{ "\([a-z_]*\)".*/\1/p')
	told 'status word' $(grep -oE '[" ][a-z_]+=%' "$root/report.c" | tr -d '"= %')
}

# Completion: all subcommands, all options of each, and words of its own.
completes() { # WORDS...: what the last one, which is begun, may become
	PATH=$tools:$PATH bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _prmpath
		printf "%s\n" "${COMPREPLY[@]}"' "$root/tools/prmpath.bash" prmpath "$@"
}
for sub in $subcommands; do
	completes '' | grep -qx -- "$sub" || bad "completion has no '$sub'"
	offered=$(completes "$sub" -)
	for option in $("$prmpath" "$sub" --help | sed -n '/^Options:/,/^$/p' |
		grep -oE '(^| )--?[a-zA-Z][a-z-]*'); do
		echo "$offered" | grep -qx -- "$option" || bad "completion has no '$sub $option'"
	done
done
[ "$(completes create --wwi)" = --wwid ] || bad "completion of --wwid: '$(completes create --wwi)'"
[ "$(completes status -o NAME,GAT)" = NAME,GATE ] || bad "completion of a column"
[ "$(completes create --open retain,sing)" = retain,single ] || bad "completion of open options"
[ "$(completes key se)" = set ] || bad "completion of key"
completes open dev -- tru | grep -qx true || bad "completion of a command"

make -s -C "$root" install-tools DESTDIR="$dir/root" PREFIX=/usr >"$dir/out" 2>&1 ||
	bad "make install-tools: $(cat "$dir/out")"
for file in bin/prmpath bin/prmpath-key lib/libprmpath.so lib/pkgconfig/libprmpath.pc \
	include/libprmpath.h include/prmpath.h share/man/man8/prmpath.8 \
	share/man/man3/libprmpath.3 share/man/man3/prm_open.3 share/man/man7/dm-prmpath.7 \
	share/man/man7/prmpath-migration.7 share/man/man7/prmpath-boot.7 \
	share/man/man8/prmpath-key.8 share/bash-completion/completions/prmpath; do
	[ -r "$dir/root/usr/$file" ] || bad "$file is not installed"
done

# The example of libprmpath.3 compiles as it stands there, with what is installed, and runs.
# Its run on a device is in the VM cases.
lib=$dir/root/usr/lib
sed -n '/^\.EX/,/^\.EE/p' "$root/man/libprmpath.3" |
	sed -e '/^\.E[XE]/d' -e 's/\\e/\\/g' -e 's/\\-/-/g' >"$dir/example.c"
flags=$(PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dir/root \
	pkg-config --cflags --libs libprmpath) || bad "pkg-config does not find the library"
# shellcheck disable=SC2086 # words
cc -Wall -Wextra -Werror -o "$dir/example" "$dir/example.c" $flags ||
	bad "the example of libprmpath.3 does not compile"
LD_LIBRARY_PATH=$lib "$dir/example"
[ $? -eq 2 ] || bad "the example does not ask for a device"
LD_LIBRARY_PATH=$lib "$dir/example" nothing retain,frob 2>"$dir/err"
[ $? -eq 2 ] || bad "the example takes any option"
grep -q "unknown open option 'frob'" "$dir/err" || bad "the example says '$(cat "$dir/err")'"
LD_LIBRARY_PATH=$lib "$dir/example" nothing 2>"$dir/err"
[ $? -eq 1 ] || bad "the example finds a device 'nothing'"
grep -q '^nothing: ' "$dir/err" || bad "the example says '$(cat "$dir/err")'"

[ $failed -eq 0 ] && echo "test-prmpath: pass"
exit $failed
