#!/usr/bin/env bash
# Builds the files of a release, without the image, into dist/release: archives of the programs, the chart, an SPDX SBOM
# of the image, and checksums. `make dist` hands it VERSION and LDFLAGS. The same commit and Go give the same
# bytes. The SBOM is that of the image, whose programs and CAs are the same: tools/same-files.sh compares them.
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
	CGO_ENABLED=0 GOOS=$3 GOARCH=$4 go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o "$tmp/$3-$4/$1" "./cmd/$2"
}
pack() { # FOLDER NAME...: writes a compressed archive to stdout. The archive depends on the files and the time of the commit, and not on this machine.
	tar -C "$1" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - "${@:2}" | gzip -9n
}
archive() { # PROGRAM GOOS GOARCH: writes the archive of a program in the form that krew needs
	cp LICENSE "$tmp/$2-$3/"
	pack "$tmp/$2-$3" "$1" LICENSE >"$out/$1-$VERSION-$2-$3.tar.gz"
}

for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	build kubectl-awsauth kubectl-awsauth "${platform%/*}" "${platform#*/}"
	archive kubectl-awsauth "${platform%/*}" "${platform#*/}"
done
for architecture in amd64 arm64; do
	build awsauth-guard-webhook webhook linux "$architecture"
	archive awsauth-guard-webhook linux "$architecture"
done

# A chart's version doesn't begin with v. A build between two versions has a pre-release version of 0.0.0.
version=${VERSION#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || version=0.0.0-$version
go tool -modfile=tools/helm/go.mod helm package charts/awsauth-guard --version "$version" --app-version "$version" --destination "$tmp"
# Helm's own archive contains the current time, so make the archive again. Set the time of the file, too, because helm
# push writes it into the manifest.
mkdir "$tmp/chart"
tar -C "$tmp/chart" -xzf "$tmp/awsauth-guard-$version.tgz"
pack "$tmp/chart" awsauth-guard >"$out/awsauth-guard-$version.tgz"
touch -d "@$time" "$out/awsauth-guard-$version.tgz"

for tool in cabundle sbom; do
	go build -C "tools/$tool" -o "$tmp/$tool" .
done
"$tmp/cabundle" >"$out/ca-certificates.crt"
"$tmp/sbom" -cas "$out/ca-certificates.crt" -cas-by "$tmp/cabundle" -name awsauth-guard -version "$VERSION" -created "$(date -u -d "@$time" +%FT%TZ)" \
	"$tmp"/linux-{amd64,arm64}/{awsauth-guard-webhook,kubectl-awsauth} >"$out/awsauth-guard-$VERSION.spdx.json"
(cd "$out" && sha256sum -- * >checksums.txt)
ls -l "$out"
