# What up.sh, down.sh and load-image.sh have in common.
# shellcheck shell=bash

# STATE holds everything the cluster writes; NETNS is the network namespace that it runs in.
STATE=${STATE:-${TMPDIR:-/tmp}/awsauth-guard-cluster}
NETNS=${NETNS:-awsauth-guard}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
socket=$STATE/containerd/containerd.sock

say() { printf '%s: %4ds  %s\n' "$(basename "$0" .sh)" "$SECONDS" "$*" >&2; }

inside() { # COMMAND...: in the cluster's network. Not ip netns exec, which hides the cgroups from the kubelet.
	nsenter --net="/run/netns/$NETNS" "$@"
}

alive() { # NAME: whether the process that up.sh started under that name runs
	[ -f "$STATE/pid/$1" ] && runs "$(cat "$STATE/pid/$1")"
}

runs() { # PID: whether the process runs; a zombie doesn't
	grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null
}

try() { # SECONDS COMMAND...: until it succeeds
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.2
	done
}
