#!/usr/bin/env bash
# Ends the cluster that up.sh started. It removes the cluster's processes, mounts and network, and the folder STATE.
set -euo pipefail
# shellcheck source=env.bash
. "$(dirname "${BASH_SOURCE[0]}")/env.bash"

export PATH="/usr/sbin:/sbin:$PATH"
[ -d "$STATE" ] || exit 0

end() { # NAME: ends a process by SIGTERM, and after 10 seconds by SIGKILL
	alive "$1" || return 0
	local pid
	pid=$(cat "$STATE/pid/$1")
	kill "$pid"
	try 10 dead "$pid" || kill -9 "$pid"
}
dead() { ! runs "$1"; }

# End the kubelet first, so that it starts no container again. Then end all containers, and with them their shims.
end kubelet
if alive containerd; then
	programs=$("$here/programs.sh")
	ctr=("$programs/ctr" --address "$socket" --namespace k8s.io)
	for task in $("${ctr[@]}" tasks list --quiet); do
		"${ctr[@]}" tasks delete --force "$task" >/dev/null 2>&1 || true # the command fails for a task that has already ended
	done
fi
for name in kube-proxy scheduler controller-manager apiserver containerd etcd; do
	end "$name"
done
if [ -e "/run/netns/$NETNS" ]; then # only processes of the cluster enter this namespace
	for pid in $(ip netns pids "$NETNS"); do
		kill -9 "$pid" 2>/dev/null || true
	done
fi
awk -v state="$STATE/" 'index($2, state) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do
	umount --lazy "$mount"
done
[ ! -e "/run/netns/$NETNS" ] || ip netns delete "$NETNS"
rm -rf "$STATE"
