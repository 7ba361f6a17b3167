#!/usr/bin/env bash
# Runs a command in a copy of the work tree. If the command changes a file there, this script prints
# the difference and fails.
#   tools/verify-unchanged.sh make generate
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM HUP
tar -cf - --exclude=./.git --exclude=./bin . | tar -xf - -C "$copy"
cd "$copy"
git init --quiet

tree() { # prints the id of a git tree with all files that git doesn't ignore
	git add --all
	git write-tree
}
before=$(tree)
"$@"
after=$(tree)

if ! git --no-pager diff --exit-code "$before" "$after"; then
	echo "$*: the files above are out of date; run it and commit the result" >&2
	exit 1
fi
