#!/usr/bin/env bash
# Builds what a release has beside the image into dist/release: archives of the programs, the chart, an SPDX SBOM of
# what is in the image, and checksums. `make dist` hands it VERSION and LDFLAGS. The same commit and Go give the same
# archives and SBOM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${VERSION:?}" "${LDFLAGS:?}"
out=$PWD/dist/release
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
rm -rf "$out"
mkdir -p "$out"
time=$(git log -1 --format=%ct)

build() { # PROGRAM COMMAND GOOS GOARCH
	mkdir -p "$tmp/$3-$4"
	CGO_ENABLED=0 GOOS=$3 GOARCH=$4 go build -trimpath -ldflags "$LDFLAGS" -o "$tmp/$3-$4/$1" "./cmd/$2"
}
archive() { # PROGRAM GOOS GOARCH; as krew wants it
	cp LICENSE "$tmp/$2-$3/"
	tar -C "$tmp/$2-$3" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner -cf - "$1" LICENSE |
		gzip -9n >"$out/$1-$VERSION-$2-$3.tar.gz"
}

for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	build kubectl-awsauth kubectl-awsauth "${platform%/*}" "${platform#*/}"
	archive kubectl-awsauth "${platform%/*}" "${platform#*/}"
done
for architecture in amd64 arm64; do
	build awsauth-guard-webhook webhook linux "$architecture"
	archive awsauth-guard-webhook linux "$architecture"
done

# A chart's version has no v; what is built between two versions is none.
version=${VERSION#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || version=0.0.0-$version
go tool -modfile=tools/helm/go.mod helm package charts/awsauth-guard --version "$version" --app-version "$version" --destination "$out"

(cd tools/sbom && go build -o "$tmp/sbom" .)
"$tmp/sbom" -name awsauth-guard -version "$VERSION" -created "$(date -u -d "@$time" +%FT%TZ)" \
	"$tmp"/linux-{amd64,arm64}/{awsauth-guard-webhook,kubectl-awsauth} >"$out/awsauth-guard-$VERSION.spdx.json"
(cd "$out" && sha256sum -- * >checksums.txt)
ls -l "$out"
