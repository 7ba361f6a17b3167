# Builds programs of the modules in this folder and keeps them in a cache folder, so that each is built only once. Other
# scripts source this file and call `cached`. It needs Go and git. Progress goes to stderr.
# shellcheck shell=bash

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started=$SECONDS

say() { printf '%s: %4ds  %s\n' "$(basename "$0" .sh)" "$((SECONDS - started))" "$*" >&2; }

# pins TOOL: the files with the pinned modules of a tool, without .mod and .sum. kubernetes_minor chooses another version
# of Kubernetes than that of tools/kubernetes/go.mod.
kubernetes_minor=${kubernetes_minor:-}
pins() {
	local name=go
	[ "$1" != kubernetes ] || name=${kubernetes_minor:-go}
	echo "$tools/$1/$name"
}

pinned() { # MODULE TOOL: the version of MODULE that a tool requires
	local version
	version=$(awk -v m="$1" '{ sub(/^require /, "") } $1 == m && $2 ~ /^v/ { print $2; exit }' "$(pins "$2").mod")
	if [ -z "$version" ]; then
		say "no version of $1 in $(pins "$2").mod"
		exit 1
	fi
	echo "$version"
}

# Build the programs for this machine, even if the caller cross-compiles. Build them statically, so that they run in any
# environment.
GOOS=$(go env GOHOSTOS)
GOARCH=$(go env GOHOSTARCH)
export GOOS GOARCH CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly

# Set the version of Kubernetes. Without it, Kubernetes reports v0.0.0-master+$Format:%H$, and Helm uses that.
kubernetes=$(pinned k8s.io/kubernetes kubernetes)
release=${kubernetes#v}
minor=${release#*.}
kubernetes_ldflags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	kubernetes_ldflags+=" -X $package.gitVersion=$kubernetes -X $package.gitTreeState=clean"
	kubernetes_ldflags+=" -X $package.gitMajor=${release%%.*} -X $package.gitMinor=${minor%%.*}"
done

# cached NAME TOOLS PROGRAMS: prints the folder with the programs, as its only line on stdout. TOOLS are the modules of
# the programs. TOOLS and PROGRAMS are lists of words. If a program is absent, cached calls compile_all, a function of
# the script, which calls `compile` for each program. The folder is
# ${XDG_CACHE_HOME:-~/.cache}/awsauth-guard/bin/NAME-PLATFORM-SUM. You may remove it at any time.
cached() {
	local name=$1 modules=$2 programs=$3 module program sum
	# The sum covers the flags and the modules of the build, with their own code. It uses git, because sha256sum may be missing.
	sum=$(
		shopt -s nullglob # most modules have no code of their own
		{ echo "$kubernetes_ldflags"; for module in $modules; do cat "$(pins "$module")".{mod,sum} "$tools/$module"/*.go; done; } | git hash-object --stdin
	)
	root=${XDG_CACHE_HOME:-$HOME/.cache}/awsauth-guard/bin
	bin=$root/$name-$GOOS-$GOARCH-${sum:0:12}

	if built "$programs"; then
		echo "$bin"
		return
	fi
	mkdir -p "$bin"
	if command -v flock >/dev/null; then
		exec 9>"$bin.lock"
		local wait=0
		until flock -w "$wait" 9; do
			say "waiting for another process that builds it"
			wait=15
		done
		if built "$programs"; then
			echo "$bin"
			return
		fi
	fi

	# Without flock two callers may both build. Each builds in its own folder, and every rename is atomic.
	tmp=$(mktemp -d "$root/.building.XXXXXX")
	ticker=
	trap cleanup EXIT
	trap 'exit 130' INT TERM HUP
	compile_all
	for program in $programs; do
		mv -f "$tmp/$program" "$bin/$program"
	done
	: >"$bin/complete"
	say "done: $bin"
	echo "$bin"
}

built() { # PROGRAMS: whether the folder has all of the programs
	local program
	[ -e "$bin/complete" ] || return 1
	for program in $1; do
		[ -x "$bin/$program" ] || return 1
	done
}

cleanup() {
	[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
	rm -rf "$tmp"
}

progress() { # PROGRAM: prints the state of the build every 15 seconds
	while sleep 15 >/dev/null 2>&1; do
		say "$1: $(grep -vc '^go: ' "$tmp/log" || true) packages compiled, at $(tail -n 1 "$tmp/log")"
	done
}

compile() { # PROGRAM TOOL PACKAGE LDFLAGS: builds a program of a module into the temporary folder
	say "$1: compiling"
	: >"$tmp/log"
	progress "$1" 9>&- &
	ticker=$!
	if ! (cd "$tools/$2" && go build -v -modfile "$(pins "$2").mod" -ldflags "$4" -o "$tmp/$1" "$3") >"$tmp/log" 2>&1 9>&-; then
		tail -n 40 "$tmp/log" >&2
		say "$1: did not build"
		exit 1
	fi
	kill "$ticker" 2>/dev/null || true
	ticker=
}
