#!/usr/bin/env bash
# Pins the modules of a Kubernetes version, such as 1.30.14, for tools/controlplane.sh and `make compat`. Writes
# tools/kubernetes/1.30.mod and 1.30.sum, which `go build -modfile` reads. It needs network.
set -euo pipefail

version=${1#v}
if ! [[ $version =~ ^1\.([0-9]+)\.[0-9]+$ ]]; then
	echo "usage: ${0##*/} VERSION, such as 1.30.14" >&2
	exit 2
fi
minor=1.${BASH_REMATCH[1]}
cd "$(dirname "${BASH_SOURCE[0]}")/kubernetes"
export GOWORK=off GOFLAGS=

upstream=$(go mod download -json "k8s.io/kubernetes@v$version" | awk -F'"' '$2 == "GoMod" { print $4 }')
rm -f "$minor.mod" "$minor.sum"
{
	# A module with tools needs Go 1.24. The setting godebug gives the programs the defaults of the Go version for which
	# Kubernetes released them.
	awk '/^module / { print; exit }' go.mod
	printf '\ngo 1.24.0\n\n'
	awk '$1 == "go" { split($2, v, "."); printf "godebug default=go%s.%s\n\n", v[1], v[2]; exit }' "$upstream"
	printf 'tool (\n\tk8s.io/kubernetes/cmd/kube-apiserver\n\tk8s.io/kubernetes/cmd/kubectl\n)\n\n'
	printf 'require k8s.io/kubernetes v%s\n\n' "$version"
	# In its go.mod, Kubernetes replaces modules such as k8s.io/api by folders of its own repository. Kubernetes publishes the same
	# code as the version v0.MINOR.PATCH of these modules.
	printf 'replace (\n'
	awk -v v="v0.${version#1.}" '$2 == "=>" && $3 ~ /^\.\/staging\// { printf "\t%s => %s %s\n", $1, $1, v }' "$upstream"
	printf ')\n'
} >"$minor.mod"
go mod tidy -modfile="$minor.mod"
