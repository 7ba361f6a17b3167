# Variables and functions of up.sh, down.sh and load-image.sh.
# shellcheck shell=bash

# STATE is the folder for all files that the cluster writes. NETNS is the network namespace in which the cluster runs.
STATE=${STATE:-${TMPDIR:-/tmp}/awsauth-guard-cluster}
NETNS=${NETNS:-awsauth-guard}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
socket=$STATE/containerd/containerd.sock

say() { printf '%s: %4ds  %s\n' "$(basename "$0" .sh)" "$SECONDS" "$*" >&2; }

inside() { # COMMAND...: runs the command in the cluster's network. ip netns exec would hide the cgroups from the kubelet.
	nsenter --net="/run/netns/$NETNS" "$@"
}

alive() { # NAME: whether the process runs that up.sh started with that name
	[ -f "$STATE/pid/$1" ] && runs "$(cat "$STATE/pid/$1")"
}

runs() { # PID: whether the process runs; a zombie doesn't
	grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null
}

try() { # SECONDS COMMAND...: repeats the command until it succeeds, or fails after SECONDS
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.2
	done
}
