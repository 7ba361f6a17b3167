#!/usr/bin/env bash
# Builds the site in a temporary repository with releases, and fails if the site has other versions than the comment of tools/site.sh
# promises. The repository has a copy of the work tree, with another text in one page at each tag.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM HUP

git ls-files -z --cached --others --exclude-standard |
	tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$copy"
cd "$copy"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init --quiet
git config user.name test
git config user.email test@example.com

# v0.9.1 is the newest release of its minor version, and v0.10.0 is the newest release. v0.11.0-rc.1 is a pre-release, which the site
# leaves out.
for tag in v0.9.0 v0.9.1 v0.10.0 v0.11.0-rc.1; do
	printf '\nPages of %s.\n' "$tag" >>docs/tutorial.md
	git add --all
	git commit --quiet --message "$tag"
	git tag "$tag"
done
printf '\nPages of main.\n' >>docs/tutorial.md
tools/site.sh site-out

fail() { echo "verify-site-versions: $*" >&2; exit 1; }
versions=$(cd site-out && printf '%s ' */)
[ "$versions" = 'latest/ main/ v0.10/ v0.9/ ' ] || fail "the site has the versions $versions"
grep -q 'url=latest/"' site-out/index.html || fail "the root doesn't lead to latest"
while read -r version tag ref; do
	page=site-out/$version/docs/tutorial/index.html
	text=$(grep -o 'Pages of [a-z0-9.-]*[a-z0-9]' "$page" | tail -n 1)
	[ "$text" = "Pages of $tag" ] || fail "the last line of $version is: $text"
	grep -q "/blob/$ref/docs/tutorial.md\"" "$page" || fail "$version doesn't link to its source at $ref"
	for other in latest main v0.10 v0.9; do
		grep -q "<a href=\"[./]*/$other/\">" "$page" || fail "the menu of $version lacks $other"
	done
done <<-'END'
	latest v0.10.0 v0.10.0
	v0.10 v0.10.0 v0.10.0
	v0.9 v0.9.1 v0.9.1
	main main main
END
echo "verify-site-versions: the site has main, latest, and the newest release of each minor version"
