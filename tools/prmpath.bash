# SPDX-License-Identifier: GPL-2.0-only
# Completion of prmpath for bash. Words come from the command's own --help.

_prmpath_words() { # SUBCOMMAND: its options
	prmpath "$1" --help 2>/dev/null |
		grep -oE -- '(^| )--?[a-zA-Z][a-z-]*' | tr -d ' ' | sort -u
}

_prmpath_columns() { # SUBCOMMAND
	prmpath "$1" --help 2>/dev/null |
		sed -n '/^Columns:/,/^ *By default/s/^  \([A-Z_]*\)  .*/\1/p'
}

_prmpath_devices() {
	prmpath list --noheadings --output NAME 2>/dev/null
}

_prmpath_disks() {
	local type

	for type in /sys/block/*/device/type; do
		[ "$(cat "$type" 2>/dev/null)" = 0 ] || continue
		type=${type#/sys/block/}
		echo "${type%%/*}"
	done
}

_prmpath_values() { # SUBCOMMAND OPTION: what the option takes; fails if nothing is known
	case $1$2 in
	metrics--output) compgen -f -- "$3" ;;
	*-o | *--output) _prmpath_columns "$1" ;;
	*--open | *--open-ro) echo default forced retain no_reserve single bypass ;;
	*--type) echo 5 6 7 8 1 3 ;;
	*--selector) echo round-robin queue-length service-time historical-service-time ;;
	*--key) prmpath key show 2>/dev/null; echo none ;;
	*--wwid) cat /sys/block/*/device/wwid 2>/dev/null ;;
	*--check) echo 0 5 30 ;;
	*--feature) echo queue_if_no_path pr_shared ;;
	*) return 1 ;;
	esac
}

_prmpath() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local sub=${COMP_WORDS[1]} prefix='' i words

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words=$(prmpath --help 2>/dev/null | sed -n 's/^  prmpath \([a-z][a-z-]*\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$cur")
		return
	fi
	# Behind "--" stands a command of its own.
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ "$sub" = open ] && [ "${COMP_WORDS[i]}" = -- ]; then
			mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
			return
		fi
	done
	if words=$(_prmpath_values "$sub" "$prev" "$cur"); then
		# Of a list with commas only the last word is completed.
		case $prev in
		-o | --output | --open | --open-ro)
			case $cur in
			*,*) prefix=${cur%,*},; cur=${cur##*,} ;;
			esac
			;;
		esac
		mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "$cur")
		return
	fi
	case $cur in
	-*) words=$(_prmpath_words "$sub") ;;
	*)
		case $sub in
		list | status | doctor | open | hold | take | query | release | clear | remove)
			words=$(_prmpath_devices)
			;;
		create) words=$(_prmpath_disks) ;;
		add-path | drop-path) words="$(_prmpath_devices) $(_prmpath_disks)" ;;
		key) words='show generate set unset' ;;
		*) words= ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _prmpath prmpath
