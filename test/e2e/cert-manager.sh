#!/usr/bin/env bash
# Builds the controllers and the cainjector of cert-manager from the Go module pinned in tools/cert-manager. Its only line
# on stdout is the path of the program. The first run takes about 3 minutes on two cores. Later runs find the program.
set -euo pipefail
# shellcheck source=../../tools/programs.bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/programs.bash"

version=$(pinned github.com/cert-manager/cert-manager cert-manager)

compile_all() {
	say "building cert-manager $version, once; about 3 minutes on two cores"
	compile cert-manager cert-manager . '-s -w'
}

folder=$(cached "cert-manager-$version" cert-manager cert-manager)
echo "$folder/cert-manager"
