# What deps, demo and test share. Sourced by sh; the caller has set -eu.

TOP=$(cd "$(dirname "$0")/.." && pwd)
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || fail "must run as root, or with sudo"
}

# need_space MEGABYTES: where the work is done, and where the checkout is built.
need_space() {
	for place in /var/tmp "$TOP"; do
		free=$(df -Pm "$place" | awk 'NR == 2 { print $4 }')
		[ "$free" -ge "$1" ] ||
			fail "$place has $free MB free, $1 are needed: make room there and try again"
	done
}

# make_work: a directory of our own in /var/tmp as WORK, HOME and TMPDIR; gone at the end.
make_work() {
	WORK=$(mktemp -d /var/tmp/bulkhead.XXXXXX)
	trap leave EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$WORK"
	mkdir "$WORK/home" "$WORK/tmp"
	HOME=$WORK/home TMPDIR=$WORK/tmp
	export HOME TMPDIR
	unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME REGISTRY_AUTH_FILE DOCKER_CONFIG || :
}

# at_leave COMMAND: run at the end, latest first; WORK is removed after all of them.
LEAVE=
at_leave() { LEAVE="$1
$LEAVE"; }

leave() {
	status=$?
	trap - EXIT INT TERM HUP
	set +e
	eval "$LEAVE"
	awk -v below="$WORK/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r |
		while read -r place; do umount -l "$place"; done
	rm -rf --one-file-system "$WORK"
	give_back
	exit "$status"
}

# With sudo, what was built belongs to the user who called.
give_back() {
	[ -z "${SUDO_UID:-}" ] || [ ! -d "$TOP/build" ] ||
		chown -R -h "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$TOP/build"
}

# Images are mounted with overlay, which cannot lie on overlay: inside a container this ends here.
need_overlay() {
	mkdir "$WORK/o" "$WORK/o/l" "$WORK/o/u" "$WORK/o/w" "$WORK/o/m"
	unshare -m mount -t overlay overlay \
		-o "lowerdir=$WORK/o/l,upperdir=$WORK/o/u,workdir=$WORK/o/w" "$WORK/o/m" 2>/dev/null ||
		fail "/var/tmp is on $(stat -f -c %T /var/tmp): no overlay mount is possible there" \
			"(inside a container? mount a volume at /var/tmp, or use a virtual machine)"
	rm -rf "$WORK/o"
}

# build PRESET...
build() {
	for preset; do
		(cd "$TOP" && cmake --preset "$preset" >"$WORK/cmake.log" 2>&1 &&
			cmake --build --preset "$preset" >>"$WORK/cmake.log" 2>&1) || {
			tail -n 60 "$WORK/cmake.log" >&2
			fail "the $preset build failed"
		}
	done
}
