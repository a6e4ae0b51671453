#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What is packaged: the rules' helper and the units' with a made-up /sys, the list of
# sources for DKMS, the range of kernels, the units and the signing.
#
# usage: test-prmpath-udev.sh [PATH OF prmpath-udev]

set -u
helper=$(readlink -f "${1:-$(dirname "$0")/../../scripts/prmpath-udev}")
root=$(readlink -f "$(dirname "$0")/../..")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
export SYSFS="$dir/sys" DEVICES="$dir/devices"

bad() {
	printf 'not ok: %s\n' "$1" >&2
	failed=1
}

prints() { # TEXT WORDS...
	want=$1
	shift
	out=$("$@" 2>&1)
	[ "$out" = "$want" ] || bad "'$*' printed '$out', not '$want'"
}

# --- a machine: sda and sdb are paths of dm-3, sdc of a multipath device, sdd of none ---

mkdir -p "$DEVICES"
for disk in sda sdb sdc sdd; do
	mkdir -p "$SYSFS/block/$disk/device" "$SYSFS/block/$disk/holders"
	echo naa.600140500000000000000000000000dd >"$SYSFS/block/$disk/device/wwid"
	: >"$SYSFS/block/$disk/uevent"
done
mkdir -p "$SYSFS/block/sda/sda1"
: >"$SYSFS/block/sda/sda1/uevent"
for pair in dm-3:prmpath-naa.6001405 dm-4:mpath-36001405; do
	mkdir -p "$SYSFS/block/${pair%%:*}/dm" "$SYSFS/block/${pair%%:*}/slaves"
	echo "${pair#*:}" >"$SYSFS/block/${pair%%:*}/dm/uuid"
done
for pair in sda:dm-3 sdb:dm-3 sdc:dm-4; do
	ln -s "../../${pair#*:}" "$SYSFS/block/${pair%%:*}/holders/${pair#*:}"
	ln -s "../../${pair%%:*}" "$SYSFS/block/${pair#*:}/slaves/${pair%%:*}"
done

# --- claims by a table ---

prints PRMPATH_DEVICE_PATH=1 "$helper" path sda
prints PRMPATH_DEVICE_PATH=1 "$helper" path sdb
prints PRMPATH_DEVICE_PATH=0 "$helper" path sdc
prints PRMPATH_DEVICE_PATH=0 "$helper" path sdd
prints PRMPATH_DEVICE_PATH=0 "$helper" path sdz
prints 'PRMPATH_PATHS=sda sdb' "$helper" paths dm-3
prints 'PRMPATH_PATHS=' "$helper" paths dm-9

# --- claims by name, before there is a table ---

t10='t10.LIO-ORG disk   with blanks      '
echo "$t10" >"$SYSFS/block/sdc/device/wwid"
claim() { # LINE RESULT DISK
	printf '%b' "$1" >"$DEVICES/data"
	prints "PRMPATH_DEVICE_PATH=$2" "$helper" path "$3"
}
claim 'WWID=naa.600140500000000000000000000000dd\n' 1 sdd
claim 'WWID="naa.600140500000000000000000000000dd"' 1 sdd
claim '# a comment\nOPTIONS="--open bypass"\nWWID=3600140500000000000000000000000dd\n' 1 sdd
claim 'WWID=naa.600140500000000000000000000000de\n' 0 sdd
claim '#WWID=naa.600140500000000000000000000000dd\n' 0 sdd
claim 'WWID=\n' 0 sdd
claim "WWID='t10.LIO-ORG disk   with blanks'\n" 1 sdc
claim "WWID='t10.LIO-ORG disk'\n" 0 sdc
# A disk without a designator is nobody's, whatever the file says.
echo >"$SYSFS/block/sdd/device/wwid"
claim 'WWID=\n' 0 sdd
rm "$DEVICES/data"

# --- who is told ---

told() { # FILES OLD NEW
	for file in sda sda/sda1 sdb sdc sdd; do : >"$SYSFS/block/$file/uevent"; done
	"$helper" announce "$2" "$3" || bad "announce '$2' '$3' failed"
	got=$(cd "$SYSFS/block" && for file in sda sda/sda1 sdb sdc sdd; do
		[ ! -s "$file/uevent" ] || printf '%s ' "$file"
	done)
	[ "$got" = "$1" ] || bad "announce '$2' '$3' told '$got', not '$1'"
}
told 'sda sda/sda1 sdb ' - '- sda sdb'
told '' '- sda sdb' '- sdb sda'
told 'sdb sdc ' '- sda sdb' '- sda sdc'
told 'sda sda/sda1 sdb ' '- sda sdb' -
told 'sdd ' '- sdd sdgone' -
[ "$(cat "$SYSFS/block/sdd/uevent")" = change ] || bad "the event is not 'change'"

# --- names of the device ---

prints 'PRMPATH_WWN=0x6001405abc
PRMPATH_SERIAL=36001405abc' "$helper" names prmpath-naa.6001405abc
prints '' "$helper" names prmpath-t10.LIO-ORG_disk
prints '' "$helper" names 'prmpath-naa.6001405; reboot'
prints '' "$helper" names mpath-36001405
for words in '' path 'paths' 'announce sda' 'frobnicate sda'; do
	# shellcheck disable=SC2086
	"$helper" $words >/dev/null 2>&1
	[ $? -eq 2 ] || bad "'$words' is not refused"
done

# --- the device's unit: what it runs ---

cat >"$dir/prmpath" <<'P'
#!/bin/sh
if [ "$1" = list ]; then echo other; exit; fi
for word; do printf '<%s>' "$word"; done
P
chmod +x "$dir/prmpath"
export PRMPATH="$dir/prmpath"
unit="$root/scripts/prmpath-device"
echo naa.600140500000000000000000000000dd >"$SYSFS/block/sdd/device/wwid"
printf 'WWID=naa.600140500000000000000000000000dd\nWAIT=0\n' >"$DEVICES/data"
prints '<create><--wwid><naa.600140500000000000000000000000dd><data>' "$unit" start data
printf '%s\n' 'WWID=3600140500000000000000000000000dd' 'WAIT=0' \
	"OPTIONS=\"--open bypass --feature 'pr_timeout 60 * \$(reboot)'\"" >"$DEVICES/data"
prints "<create><--open><bypass><--feature><pr_timeout 60 * \$(reboot)><--wwid><naa.600140500000000000000000000000dd><data>" \
	"$unit" start data
printf 'WWID=naa.6001405f\nWAIT=0\n' >"$DEVICES/none"
prints 'prmpath-device: none: no disk with the designator naa.6001405f' "$unit" start none
printf 'WAIT=soon\nWWID=naa.6001405f\n' >"$DEVICES/none"
prints "prmpath-device: $DEVICES/none: WAIT=soon: expected a number" "$unit" start none
prints "prmpath-device: $DEVICES/gone is missing" "$unit" start gone
prints '' "$unit" stop data
prints '<remove><other>' "$unit" stop other
for words in 'start ../key' 'restart data' 'start'; do
	# shellcheck disable=SC2086
	! "$unit" $words >/dev/null 2>&1 || bad "prmpath-device accepts '$words'"
done

# --- DKMS: every file that the module is made of, and the kernels that are tested ---

listed=$(grep -v '^#' "$root/packaging/dkms-sources" | sort)
needed=$(cd "$root" && { echo Kbuild; ls ./*.c ./*.h uapi/*.h | sed 's|^\./||'; } | sort)
[ "$listed" = "$needed" ] || bad "packaging/dkms-sources and the sources differ:
$(printf '%s\n%s\n' "$listed" "$needed" | sort | uniq -u)"

# shellcheck disable=SC2016,SC2034
in_range() { # RELEASE: as dkms tests it
	bash -c '. "$1"; [[ $2 =~ $BUILD_EXCLUSIVE_KERNEL ]]' - "$root/packaging/dkms.conf" "$1"
}
for release in 6.1 6.1.0-56-amd64 6.1.177 6.6.13+bpo-amd64 6.9-rc1 6.12.117+deb12-amd64 6.12-amd64 \
	$(sed -n 's/^LINES := //p' "$root/Makefile"); do
	in_range "$release" || bad "$release is out of the range of dkms.conf"
done
for release in 5.10.0-28-amd64 6.0.12 6.13.0 6.13 6.120.1 6.18.5 7.1.0 16.1.0; do
	! in_range "$release" || bad "$release is in the range of dkms.conf"
done

# dkms asks for AUTOINSTALL with a $kernelver of its own around the kernel it is about: by
# what it says then, it passes a kernel over, or fails and breaks the kernel's package.
# shellcheck disable=SC2016
autoinstall() { # RELEASE: what dkms.conf answers, asked as dkms 3.0.10 asks
	bash -c 'kernelver=$2
		safe_source() { ( . "$1"; echo "$AUTOINSTALL" ); }
		read_conf() { local kernelver=$2; safe_source "$1"; }
		read_conf "$1" "$3"' - "$root/packaging/dkms.conf" "$1" "$2"
}
for before in '' 6.1.0-56-amd64; do
	[ "$(autoinstall 6.12.117+deb12-amd64 "$before")" = yes ] || bad 'no autoinstall for 6.12'
	[ -z "$(autoinstall 6.13.0 "$before")" ] || bad "after '$before': autoinstall for 6.13 would fail"
done

# --- Debian: one release everywhere, every symbol ---

release=$(sed -n 's/^#define PRM_RELEASE[[:space:]]*"\(.*\)"/\1/p' "$root/dm-prmpath.c")
if [ -d "$root/debian" ]; then
	case $(head -n 1 "$root/debian/changelog") in
	"dm-prmpath ($release-"*) ;;
	*) bad "debian/changelog does not begin with release $release" ;;
	esac
	map=$(sed -n 's/^\t\(prm_.*\);/\1/p' "$root/tools/libprmpath.map" | sort)
	symbols=$(sed -n 's/^ \(prm_[a-z_]*\)@.*/\1/p' "$root/debian/libprmpath1.symbols" | sort)
	[ "$map" = "$symbols" ] || bad "libprmpath1.symbols and libprmpath.map differ"
fi

# --- signing: refused for what would not load ---

sign="$root/scripts/sign-module"
if command -v openssl >/dev/null; then
	for name in one two; do
		openssl req -new -x509 -newkey rsa:2048 -nodes -keyout "$dir/$name.key" -outform DER \
			-out "$dir/$name.der" -days 1 -subj "/CN=$name/" 2>/dev/null || bad 'openssl'
	done
	: >"$dir/module.ko"
	refuses_to_sign() { # TEXT WORDS...
		text=$1
		shift
		out=$("$sign" "$@" 2>&1) && bad "sign-module $*: not refused"
		case $out in
		*"$text"*) ;;
		*) bad "sign-module $*: '$out' lacks '$text'" ;;
		esac
	}
	refuses_to_sign 'is not the key of' "$dir/one.key" "$dir/two.der" "$dir/module.ko"
	refuses_to_sign 'no certificate' "$dir/one.key" "$dir/one.key" "$dir/module.ko"
	refuses_to_sign 'no private key' "$dir/one.der" "$dir/one.der" "$dir/module.ko"
	refuses_to_sign "run 'make' first" "$dir/one.key" "$dir/one.der" "$dir/none.ko"
	refuses_to_sign 'cannot be read' "$dir/none" "$dir/one.der" "$dir/module.ko"
	refuses_to_sign 'no key or no certificate' '' '' "$dir/module.ko"
fi

[ $failed -eq 0 ] && echo 'ok'
exit $failed
