#!/usr/bin/env bash
# Runs a command in a copy of the work tree and fails, with the difference, when it changes a file there.
#   tools/verify-unchanged.sh make generate
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM HUP
tar -cf - --exclude=./.git --exclude=./bin . | tar -xf - -C "$copy"
cd "$copy"
git init --quiet

tree() { # the state of every file that is not ignored
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
