#!/usr/bin/env bash
# Builds kube-apiserver, kubectl and etcd from the Go modules pinned in tools/kubernetes and tools/etcd. Its
# only line on stdout is the folder with these programs, as KUBEBUILDER_ASSETS names it. Progress goes to
# stderr. The first run takes about 6 minutes on two cores. Later runs find the programs.
#
# If KUBEBUILDER_ASSETS names a folder that has all three programs, the script builds nothing and prints
# this folder.
set -euo pipefail
# shellcheck source=programs.bash
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	if [ -x "$KUBEBUILDER_ASSETS/kube-apiserver" ] && [ -x "$KUBEBUILDER_ASSETS/kubectl" ] && [ -x "$KUBEBUILDER_ASSETS/etcd" ]; then
		(cd "$KUBEBUILDER_ASSETS" && pwd)
		exit 0
	fi
	say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks kube-apiserver, kubectl or etcd; using our own"
fi

etcd=$(pinned go.etcd.io/etcd/server/v3 etcd)

compile_all() {
	say "building Kubernetes $kubernetes and etcd $etcd, once; about 6 minutes on two cores"
	compile kube-apiserver kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$kubernetes_ldflags"
	compile kubectl kubernetes k8s.io/kubernetes/cmd/kubectl "$kubernetes_ldflags"
	compile etcd etcd go.etcd.io/etcd/server/v3 '-s -w' # etcd's version is a constant of the module
}

cached "kubernetes-$kubernetes-etcd-$etcd" 'kubernetes etcd' 'kube-apiserver kubectl etcd'
