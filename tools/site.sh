#!/usr/bin/env bash
# Builds the documentation as a static site into the folder OUT: the files of the work tree as main, the newest release
# as latest, and the newest release of each minor version as vX.Y. Before the first release there is only main.
# Usage: tools/site.sh OUT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${1:?the folder of the site}")
minors=5 # number of minor versions on the site; the pages of older versions are on GitHub

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# The newest release of each minor version, the newest first. A pre-release, such as v1.2.0-rc.1, has no pages.
mapfile -t tags < <(git tag --list 'v*' --sort=-version:refname | grep -E '^v[0-9]+\.[0-9]+\.[0-9]+$' |
	awk -F. '!seen[$1 "." $2]++' | head -n "$minors" || true)
newest=main versions=main
if [ "${#tags[@]}" -gt 0 ]; then
	newest=latest versions="latest main"
	for tag in "${tags[@]}"; do versions+=" ${tag%.*}"; done
fi

build() { # NAME REF FOLDER: builds the pages of the repository in FOLDER, with links to files of REF on GitHub
	local log=$temporary/log
	if ! HUGO_PARAMS_VERSION=$1 HUGO_PARAMS_REF=$2 HUGO_PARAMS_VERSIONS=$versions HUGO_PARAMS_NEWEST=$newest CGO_ENABLED=0 \
		go tool -modfile=tools/hugo/go.mod hugo --source "$3/site" --destination "$out/$1" --cacheDir "$temporary/cache" \
		--noBuildLock --panicOnWarning >"$log" 2>&1; then
		cat "$log" >&2
		exit 1
	fi
	echo "$1: the pages of $2, $(find "$out/$1" -name '*.html' | wc -l) of them"
}

rm -rf "$out"
mkdir -p "$out"
build main main .
for tag in "${tags[@]}"; do
	# Build the pages of the release with the layout of the work tree.
	mkdir "$temporary/$tag"
	git archive "$tag" | tar -x -C "$temporary/$tag"
	rm -rf "$temporary/$tag/site"
	cp -R site "$temporary/$tag/site"
	build "${tag%.*}" "$tag" "$temporary/$tag"
done
if [ "$newest" = latest ]; then build latest "${tags[0]}" "$temporary/${tags[0]}"; fi

# The page at the root redirects to the newest version. For every address without a page, GitHub Pages answers with 404.html.
page() { # TITLE HEAD BODY
	printf '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
	printf '<meta name="color-scheme" content="light dark">\n<title>%s</title>\n%s%s\n</html>\n' "$@"
}
page awsauth-guard "<meta http-equiv=\"refresh\" content=\"0; url=$newest/\">" $'\n'"<p><a href=\"$newest/\">awsauth-guard</a></p>" >"$out/index.html"
address=$(sed -n 's/^ *address: *//p' site/hugo.yaml)
page 'Page not found' '' $'\n'"<p>This page does not exist. <a href=\"${address}$newest/\">The documentation of awsauth-guard</a></p>" >"$out/404.html"
touch "$out/.nojekyll" # GitHub Pages publishes the files as they are
