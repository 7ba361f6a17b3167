#!/usr/bin/env bash
# Builds the programs of a node and its control plane that tools/controlplane.sh doesn't build, from the Go modules
# pinned in tools/kubernetes and tools/runtime. Its only line on stdout is the folder with the programs. The first
# run takes about 7 minutes on two cores, after tools/controlplane.sh. Later runs find the programs.
set -euo pipefail
# shellcheck source=../../tools/programs.bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/programs.bash"

runtime=$(pinned github.com/containerd/containerd/v2 runtime)
from_kubernetes='kube-controller-manager kube-scheduler kubelet kube-proxy'
from_runtime='containerd containerd-shim-runc-v2 ctr'

compile_all() {
	local program
	say "building Kubernetes $kubernetes and containerd $runtime, once; about 7 minutes on two cores"
	for program in $from_kubernetes; do
		compile "$program" kubernetes "k8s.io/kubernetes/cmd/$program" "$kubernetes_ldflags"
	done
	for program in $from_runtime; do
		compile "$program" runtime "github.com/containerd/containerd/v2/cmd/$program" '-s -w'
	done
}

cached "node-$kubernetes-containerd-$runtime" 'kubernetes runtime' "$from_kubernetes $from_runtime"
