#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The cluster's agents, with a simulated prmpath and a simulated cluster: which state
# becomes which status, when an open is forced, and what a node that lost the LUN may do.
#
# usage: test-cluster.sh FOLDER OF THE AGENTS

set -u
agents=$(cd "${1:-$(dirname "$0")/../../cluster}" && pwd)
dir=$(mktemp -d) || exit 1
trap 'kill "$(cat "$dir/run/data.pid" 2>/dev/null)" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0
export SIM="$dir/sim"
mkdir -p "$dir/bin" "$SIM"

bad() {
	printf 'not ok: %s\n' "$1" >&2
	failed=1
}

# --- what is simulated: a LUN (files in $SIM), this node "b" with key b1, a cluster ----

simulate() { # NAME, its script on stdin
	{
		echo '#!/bin/sh'
		cat
	} >"$dir/bin/$1"
	chmod 755 "$dir/bin/$1"
}

simulate prmpath <<'SH'
get() { cat "$SIM/$1" 2>/dev/null; }
put() { echo "$2" >"$SIM/$1.$$" && mv "$SIM/$1.$$" "$SIM/$1"; }
for last; do :; done
echo "$*" >>"$SIM/calls"
[ "${last#/dev/mapper/}" = data ] || exit 8
case $1 in
status)
	case $* in
	*NAME*) echo data ;;
	*KEY*) echo 0x00000000000000b1 ;;
	*USABLE_PATHS*) get usable ;;
	*PATHS*) echo 2 ;;
	*HOLDER*) echo own:8:0 ;;
	*STATE*) get state ;;
	esac
	;;
query)
	[ -e "$SIM/unknown" ] && { echo "no path answers" >&2; exit 2; }
	holder=$(get holder)
	case $* in *KEYS*) echo $holder $(get also); [ "$holder" = '' ] || [ "$holder" = 0x00000000000000b1 ]; exit; esac
	case $holder in
	'') echo free ;;
	*b1) echo ours ;;
	*) echo "other $holder"; exit 1 ;;
	esac
	;;
hold)
	[ -e "$SIM/hold-fails" ] && { echo busy >&2; exit 3; }
	holder=$(get holder)
	case $holder:$* in
	*:*--forced* | :* | *b1:*) ;;
	*) echo "busy" >&2; exit 3 ;;
	esac
	trap 'put state "$(get after)"; put holder ""; exit 0' TERM
	put holder 0x00000000000000b1
	put state owner
	while [ "$(get state)" != fenced ]; do sleep 0.05; done
	put state "$(get after-fence)"
	exit 3
	;;
take)
	[ -e "$SIM/take-fails" ] && { echo "cannot open" >&2; exit 3; }
	put holder 0x00000000000000b1
	put state retained
	;;
release)
	put holder ''
	put state free
	;;
esac
SH
simulate cibadmin <<'SH'
case $* in
*"'0x00000000000000a1'"*) echo '<node id="1" uname="a"><instance_attributes/></node>' ;;
*) exit 6 ;;
esac
SH
simulate crm_mon <<'SH'
echo '<pacemaker-result><cluster_options stonith-enabled="'"$(cat "$SIM/stonith")"'" symmetric-cluster="true"/>'
echo "<nodes><node name=\"a\" id=\"1\" $(cat "$SIM/a")/>"
echo '<node name="b" id="2" online="true" standby="false" pending="false" unclean="false"/></nodes>'
echo '<fence_history><node name="a"/></fence_history></pacemaker-result>'
SH
simulate crm_resource <<'SH'
[ -e "$SIM/runs-on-a" ] && echo 'resource lun is running on: a'
exit 0
SH
simulate crm_attribute <<'SH'
echo "crm_attribute $*" >>"$SIM/calls"
[ -e "$SIM/no-cib" ] && exit 1
case $* in
*'--node a '*--query*) echo 0x00000000000000a1 ;;
*'--node c '*--query*) exit 6 ;;
esac
SH
simulate crm_node <<'SH'
echo b
SH

# What of resource-agents' functions the agent uses, where these are not installed.
cat >"$dir/ocf-shellfuncs" <<'SH'
OCF_SUCCESS=0
OCF_ERR_GENERIC=1
OCF_ERR_UNIMPLEMENTED=3
OCF_ERR_INSTALLED=5
OCF_ERR_CONFIGURED=6
OCF_NOT_RUNNING=7
ocf_exit_reason() { echo "$*" >&2; }
ocf_log() { :; }
ocf_local_nodename() { echo b; }
ocf_is_probe() { [ "${OCF_RESKEY_CRM_meta_interval:-0}" = 0 ]; }
have_binary() { command -v "$1" >/dev/null; }
SH

PATH=$dir/bin:$PATH
export PATH OCF_FUNCTIONS_DIR="$dir" PRMPATH_RUN_DIR="$dir/run" OCF_RESOURCE_INSTANCE=lun
export PRMPATH_CONFIRM_TRIES=1 PRMPATH_CLOSE_TRIES=2 OCF_RESKEY_device=data OCF_RESKEY_path_grace=0 OCF_RESKEY_crm_feature_set=3.16.2

A=0x00000000000000a1
CLEAN='online="false" standby="false" pending="false" unclean="false"'
UNCLEAN='online="false" standby="false" pending="false" unclean="true"'
MEMBER='online="true" standby="false" pending="false" unclean="false"'

fresh() { # STATE HOLDER: a LUN, and a cluster that has lost a and fenced it
	[ -e "$dir/run/data.pid" ] && kill "$(cat "$dir/run/data.pid")" 2>/dev/null
	rm -rf "$SIM" "$dir/run"
	mkdir -p "$SIM"
	echo "$1" >"$SIM/state"
	echo "$2" >"$SIM/holder"
	echo free >"$SIM/after"
	echo foreign >"$SIM/after-fence"
	echo 2 >"$SIM/usable"
	echo true >"$SIM/stonith"
	echo "$CLEAN" >"$SIM/a"
}

agent() { # STATUS ACTION TEXT: the resource agent's status, and what it says
	text=$("$agents/prmpath" "$2" 2>&1)
	code=$?
	[ $code -eq "$1" ] || bad "$case: $2: status $code, expected $1: $text"
	case $text in
	*"${3:-}"*) ;;
	*) bad "$case: $2: '$text' lacks '$3'" ;;
	esac
}

fence() { # STATUS ACTION NODE TEXT
	text=$(printf 'action=%s\nplug=%s\n# a comment\ndevices=data\nfrob=1\n' "$2" "$3" |
		"$agents/fence_prmpath" 2>&1)
	code=$?
	[ $code -eq "$1" ] || bad "$case: fence $2 $3: status $code, expected $1: $text"
	case $text in
	*"${4:-}"*) ;;
	*) bad "$case: fence $2 $3: '$text' lacks '$4'" ;;
	esac
}

called() {
	grep -q -- "$1" "$SIM/calls"
}

hold_ended() {
	i=0
	until [ -e "$dir/run/data.exit" ]; do
		i=$((i + 1))
		if [ "$i" -gt 200 ]; then
			bad "$case: the hold goes on"
			return
		fi
		sleep 0.05
	done
}

# --- the resource agent ---------------------------------------------------------------

case='a free LUN'
fresh free ''
agent 0 validate-all
agent 7 monitor
agent 0 start
called "crm_attribute.*--name prmpath-key-data --update 0x00000000000000b1" || bad "$case: the key is not published"
called '--forced' && bad "$case: forced"
agent 0 monitor
agent 0 start
echo 1 >"$SIM/usable"
agent 190 monitor '1 of 2 paths'
echo 0 >"$SIM/usable"
agent 1 monitor '0 paths usable, expected 1'
agent 0 stop
agent 7 monitor
agent 0 stop

case='what fencing has taken'
fresh retained 0x00000000000000b1
agent 7 monitor
OCF_RESKEY_takeover=never agent 0 start
called '--forced' && bad "$case: forced"
agent 0 stop
fresh retained 0x00000000000000b1
agent 0 stop
called '^release' || bad "$case: stop leaves a reservation"

case='what fencing had taken, and another member has now'
fresh retained $A
agent 0 stop
called '^release' && bad "$case: released"
fresh retained 0x00000000000000b1
touch "$SIM/unknown"
agent 0 stop

case='held by a node that was fenced'
fresh foreign $A
OCF_RESKEY_takeover=never agent 1 start 'takeover=never'
agent 0 start
called 'hold --forced' || bad "$case: not forced"
agent 0 stop

case='held by a node that is not fenced yet'
fresh foreign $A
echo "$UNCLEAN" >"$SIM/a"
agent 1 start 'not confirmed'
called '--forced' && bad "$case: forced"

case='held by a member that stopped it'
fresh foreign $A
echo "$MEMBER" >"$SIM/a"
touch "$SIM/runs-on-a"
agent 1 start 'is a member and runs lun'
rm "$SIM/runs-on-a"
agent 0 start
agent 0 stop

case='a cluster that does not fence'
fresh foreign $A
echo false >"$SIM/stonith"
agent 1 start 'does not fence'
called '--forced' && bad "$case: forced"
OCF_RESKEY_takeover=always agent 0 start
agent 0 stop

case='held by a host that is not of the cluster'
fresh foreign 0x00000000000000c1
agent 1 start 'no node of this cluster'
called '--forced' && bad "$case: forced"

case='the LUN is lost'
fresh free ''
agent 0 start
echo $A >"$SIM/holder"
echo fenced >"$SIM/after-fence"
echo fenced >"$SIM/state"
hold_ended
agent 1 monitor 'another host took the LUN'
agent 1 stop 'still open'
echo foreign >"$SIM/state"
agent 0 stop
agent 7 monitor
for OCF_RESKEY_takeover in if_fenced always; do
	export OCF_RESKEY_takeover
	agent 1 start 'took it from this node'
done
unset OCF_RESKEY_takeover
called '--forced' && bad "$case: forced"
fence 1 off a 'lost the LUN itself'
called '^take' && bad "$case: fenced the winner"
fence 0 on b
agent 0 start
agent 0 stop

case='lost and closed, and nobody looked before the fencing'
fresh free ''
agent 0 start
echo $A >"$SIM/holder"
echo fenced >"$SIM/state"
hold_ended
fence 1 off a 'lost the LUN itself'
agent 7 monitor
agent 1 start 'took it from this node'

case='lost and closed, and the monitor looks first'
fresh free ''
agent 0 start
echo $A >"$SIM/holder"
echo fenced >"$SIM/state"
hold_ended
agent 7 monitor
[ -e "$dir/run/data.lost" ] || bad "$case: not noted"

case='an open that was refused is no loss'
fresh free ''
touch "$SIM/hold-fails"
agent 1 start 'not held (status 3)'
rm "$SIM/hold-fails"
fence 0 off a
agent 0 start
agent 0 stop

case='lost, and nobody looked before the stop'
fresh free ''
agent 0 start
echo foreign >"$SIM/after"
agent 0 stop
echo $A >"$SIM/holder"
agent 1 start 'took it from this node'

case='lost, and free again'
echo '' >"$SIM/holder"
echo free >"$SIM/state"
agent 0 start
[ -e "$dir/run/data.lost" ] && bad "$case: an open that took nothing by force leaves the mark"
agent 0 stop

case='in use by something else'
fresh owner 0x00000000000000b1
agent 1 monitor 'not by this resource'
agent 1 start 'not by this resource'
agent 1 stop 'still open'

case='somebody looks in when the hold ends'
fresh free ''
agent 0 start
echo owner >"$SIM/after"
until [ ! -e "/proc/$(cat "$dir/run/data.pid")" ]; do sleep 0.05; done && sleep 0.2 && echo free >"$SIM/state" &
PRMPATH_CLOSE_TRIES=200 agent 0 stop
wait

case='no path answers'
fresh free ''
touch "$SIM/unknown"
agent 1 start 'cannot tell'
echo releasing >"$SIM/state"
agent 0 stop
agent 7 monitor

case='the key cannot be published'
fresh free ''
touch "$SIM/no-cib"
agent 1 start 'cannot store'
called '^hold' && bad "$case: held all the same"
unset OCF_RESKEY_crm_feature_set
agent 0 start
agent 0 stop
export OCF_RESKEY_crm_feature_set=3.16.2

case='parameters'
fresh free ''
OCF_RESKEY_device='' agent 6 start 'device: expected'
OCF_RESKEY_device=/dev/sdb agent 6 start '/dev/sdb'
OCF_RESKEY_device=/dev/mapper/data agent 0 validate-all
OCF_RESKEY_takeover=perhaps agent 6 start perhaps
OCF_RESKEY_min_paths=x agent 6 start min_paths
OCF_RESKEY_path_grace=08 agent 6 start path_grace
OCF_RESKEY_takeover=perhaps agent 0 stop
OCF_RESKEY_takeover=perhaps agent 7 monitor
OCF_RESKEY_device=none agent 5 start 'no such prmpath device'
OCF_RESKEY_device=none agent 7 monitor
OCF_RESKEY_device=none agent 0 stop
PRMPATH=/none agent 5 start 'not installed'
PRMPATH=/none agent 7 monitor
PRMPATH=/none agent 0 stop
echo off >"$SIM/state"
agent 6 start 'no pr_key'
agent 3 promote usage

# --- the fence agent ------------------------------------------------------------------

case='fencing the owner'
fresh foreign $A
fence 0 monitor ''
fence 0 status a
fence 0 off a 'a is fenced'
called '^take data' || bad "$case: not taken"
fence 2 status a
fence 0 off a 'a is fenced'
[ "$(grep -c '^take' "$SIM/calls")" = 1 ] || bad "$case: taken twice"

case='the key of a node is not known, and others are registered'
fresh owner 0x00000000000000b1
echo 0x00000000000000c1 >"$SIM/also"
fence 1 off c 'still registered with 0x00000000000000c1'
fence 0 status c
rm "$SIM/also"
fence 0 off c 'c is fenced'
fence 2 status c

case='status without a node is that of the agent'
fence 0 status ''
touch "$SIM/unknown"
fence 1 status ''
rm "$SIM/unknown"

case='fencing a node that has nothing'
fresh free ''
fence 0 off a 'a is fenced'
called '^take data' || bad "$case: a free LUN is left to it"

case='a registration that stays'
fresh foreign $A
echo $A >"$SIM/also"
fence 1 off a 'still registered'

case='a third node has it'
fresh foreign 0x00000000000000d1
fence 0 off a 'held by 0x00000000000000d1'
called '^take' && bad "$case: taken from a bystander"
fence 1 off c 'the key of c is not known'
called '^take' && bad "$case: taken from nobody knows whom"

case='fencing that does not work'
fresh foreign $A
touch "$SIM/take-fails"
fence 1 off a 'not taken: cannot open'
touch "$SIM/unknown"
fence 1 off a 'cannot tell'
fence 1 monitor '' 'cannot tell'
fence 1 status a 'cannot tell'
fence 1 off b 'is this node'
fence 1 off '' 'expected the name of a node'
fence 1 frob a "action 'frob'"
rm "$SIM/unknown"
echo fenced >"$SIM/state"
fence 1 on b 'fenced until'
fence 1 off a 'lost the LUN itself'

case='keys on the command line'
fresh foreign 0x00000000000000c1
text=$("$agents/fence_prmpath" -o off -n c -d data -k a:0xa1,c:0xc1 2>&1) || bad "$case: $text"
called '^take data' || bad "$case: not taken"
text=$("$agents/fence_prmpath" -o off -n c -d data -k c=1 2>&1) && bad "$case: c=1 is accepted"
text=$("$agents/fence_prmpath" -o off -n c 2>&1) && bad "$case: no devices"
for list in ',' ',,' ' , '; do
	text=$("$agents/fence_prmpath" -o off -n c -d "$list" 2>&1) && bad "$case: devices '$list' are accepted"
done
for key in 0x 0x0 0xzz 0x11111111111111111; do
	text=$("$agents/fence_prmpath" -o off -n c -d data -k "c:$key" 2>&1) && bad "$case: key $key is accepted"
	case $text in
	*'hexadecimal digits'*) ;;
	*) bad "$case: $key: '$text'" ;;
	esac
done

case='a wrong key on the command line'
fresh foreign 0x00000000000000c1
text=$("$agents/fence_prmpath" -o off -n c -d data -k a:0xa1,c:0xc2 2>&1) && bad "$case: $text"
case $text in
*'is it that of c?'*) ;;
*) bad "$case: '$text'" ;;
esac
text=$("$agents/fence_prmpath" -o off -n c -d data -k a:0xc1,c:0xc2 2>&1) || bad "$case: a has it: $text"
called '^take' && bad "$case: taken"

case='all registrants hold it'
fresh foreign 0x0000000000000000
fence 1 off a 'pr_type 7 or 8'
OCF_RESKEY_takeover=always agent 1 start 'pr_type 7 or 8'
called '--forced' && bad "$case: forced"

# --- both -----------------------------------------------------------------------------

if command -v xmllint >/dev/null; then
	for words in 'prmpath meta-data' 'fence_prmpath -o metadata'; do
		# shellcheck disable=SC2086
		"$agents"/$words | xmllint --noout --nonet - || bad "$words is not XML"
	done
fi

[ $failed -eq 0 ] && echo "test-cluster: pass"
exit $failed
