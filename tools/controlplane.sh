#!/usr/bin/env bash
# Builds kube-apiserver, kubectl and etcd from the Go modules pinned in tools/kubernetes and tools/etcd. Its
# only line on stdout is the folder with these programs, a value for KUBEBUILDER_ASSETS. Progress goes to
# stderr. The first run takes about 6 minutes on two cores. Later runs find the programs in a cache folder.
#
# An argument such as 1.30 chooses another version of Kubernetes, from tools/kubernetes/1.30.mod, which
# tools/pin-kubernetes.sh writes. `--list` prints the versions that a caller can choose, one a line.
#
# Without an argument, if KUBEBUILDER_ASSETS names a folder that has all three programs, the script builds
# nothing and prints this folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# version_of FILE: prints the major and minor version of Kubernetes that a go.mod file requires, such as 1.30
version_of() {
	awk '{ sub(/^require /, "") } $1 == "k8s.io/kubernetes" { split($2, v, "."); print "1." v[2]; exit }' "$1"
}

if [ "${1:-}" = --list ]; then
	for file in "$here"/kubernetes/*.mod; do version_of "$file"; done | sort -t. -k2n
	exit
fi
kubernetes_minor=
if [ $# -gt 0 ]; then
	unset KUBEBUILDER_ASSETS
	if [ "$1" != "$(version_of "$here/kubernetes/go.mod")" ]; then
		kubernetes_minor=$1
		if ! [[ $1 =~ ^1\.[0-9]+$ && -e $here/kubernetes/$1.mod ]]; then
			echo "controlplane: no modules of Kubernetes $1; $0 --list prints the versions, tools/pin-kubernetes.sh adds one" >&2
			exit 2
		fi
	fi
fi
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
