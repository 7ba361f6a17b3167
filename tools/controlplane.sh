#!/usr/bin/env bash
# Prints the folder that holds kube-apiserver, kubectl and etcd (what KUBEBUILDER_ASSETS names), as its only
# line on stdout. Builds them from the Go modules pinned in tools/kube-apiserver and tools/etcd when they are
# not there yet: about 6 minutes on two cores the first time, with progress on stderr; at once afterwards.
#
# Needs Go and git. KUBEBUILDER_ASSETS is taken as it is when it holds all three programs.
# The folder is ${XDG_CACHE_HOME:-~/.cache}/awsauth-guard/bin/VERSIONS-PLATFORM-SUM; any of them may be removed.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started=$SECONDS

say() { printf 'controlplane: %4ds  %s\n' "$((SECONDS - started))" "$*" >&2; }

has_all() { # FOLDER
	[ -x "$1/kube-apiserver" ] && [ -x "$1/kubectl" ] && [ -x "$1/etcd" ]
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	if has_all "$KUBEBUILDER_ASSETS"; then
		(cd "$KUBEBUILDER_ASSETS" && pwd)
		exit 0
	fi
	say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks kube-apiserver, kubectl or etcd; using our own"
fi

pinned() { # MODULE TOOL: the version of MODULE that tools/TOOL/go.mod requires
	awk -v m="$1" '{ sub(/^require /, "") } $1 == m && $2 ~ /^v/ { print $2; exit }' "$tools/$2/go.mod"
}
kubernetes=$(pinned k8s.io/kubernetes kube-apiserver)
etcd=$(pinned go.etcd.io/etcd/server/v3 etcd)
if [ -z "$kubernetes" ] || [ -z "$etcd" ]; then
	say "no version of k8s.io/kubernetes or go.etcd.io/etcd/server/v3 in tools/*/go.mod"
	exit 1
fi

# Programs of this machine, whatever the caller cross-compiles; static, so that they run anywhere on it.
GOOS=$(go env GOHOSTOS)
GOARCH=$(go env GOHOSTARCH)
export GOOS GOARCH CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly

# The version stamps: unstamped, Kubernetes calls itself v0.0.0-master+$Format:%H$.
release=${kubernetes#v}
minor=${release#*.}
ldflags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	ldflags+=" -X $package.gitVersion=$kubernetes -X $package.gitTreeState=clean"
	ldflags+=" -X $package.gitMajor=${release%%.*} -X $package.gitMinor=${minor%%.*}"
done

# The sum is over everything that decides what is built; git is there, sha256sum may not be.
sum=$({ echo "$ldflags"; cat "$tools"/{kube-apiserver,etcd}/go.{mod,sum}; } | git hash-object --stdin)
root=${XDG_CACHE_HOME:-$HOME/.cache}/awsauth-guard/bin
bin=$root/kubernetes-$kubernetes-etcd-$etcd-$GOOS-$GOARCH-${sum:0:12}

built() { [ -e "$bin/complete" ] && has_all "$bin"; }

if built; then
	echo "$bin"
	exit 0
fi

mkdir -p "$bin"
if command -v flock >/dev/null; then
	exec 9>"$bin.lock"
	wait=0
	until flock -w "$wait" 9; do
		say "waiting for another process that builds it"
		wait=15
	done
	if built; then
		echo "$bin"
		exit 0
	fi
fi

# Without flock two callers may both build: each in a folder of its own, and every rename is atomic.
tmp=$(mktemp -d "$root/.building.XXXXXX")
ticker=
cleanup() {
	[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

progress() { # PROGRAM: what the build is at, every 15 seconds
	while sleep 15 >/dev/null 2>&1; do
		say "$1: $(grep -vc '^go: ' "$tmp/log" || true) packages compiled, at $(tail -n 1 "$tmp/log")"
	done
}

build() { # PROGRAM TOOL PACKAGE LDFLAGS
	say "$1: compiling"
	: >"$tmp/log"
	progress "$1" 9>&- &
	ticker=$!
	if ! (cd "$tools/$2" && go build -v -ldflags "$4" -o "$tmp/$1" "$3") >"$tmp/log" 2>&1 9>&-; then
		tail -n 40 "$tmp/log" >&2
		say "$1: did not build"
		exit 1
	fi
	kill "$ticker" 2>/dev/null || true
	ticker=
}

say "building Kubernetes $kubernetes and etcd $etcd, once; about 6 minutes on two cores"

build kube-apiserver kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "$ldflags"
build kubectl kube-apiserver k8s.io/kubernetes/cmd/kubectl "$ldflags"
build etcd etcd go.etcd.io/etcd/server/v3 '-s -w' # its version is a constant of the module

for program in kube-apiserver kubectl etcd; do
	mv -f "$tmp/$program" "$bin/$program"
done
: >"$bin/complete"
say "done: $bin"
echo "$bin"
