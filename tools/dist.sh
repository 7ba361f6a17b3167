#!/usr/bin/env bash
# Builds the files of a release, except the images, into the folder OUT, dist/release by default: archives of the programs, packages
# of kubectl-awsauth, the chart, the CAs of the images, an SPDX SBOM, and checksums. `make dist` sets VERSION and LDFLAGS.
# DIST_PLATFORMS limits the platforms. The same commit and version of Go give the same bytes. The SBOM lists the programs and CAs of
# these files. It also holds for the images, because tools/same-files.sh compares their programs and CAs with these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${VERSION:?}" "${LDFLAGS:?}"
out=${OUT:-$PWD/dist/release}
platforms=${DIST_PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
rm -rf "$out"
mkdir -p "$out"
time=$(git log -1 --format=%ct)
# If VERSION is not a version, as between two releases, the version is a pre-release of 0.0.0. A chart's version has no v.
version=${VERSION#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || version=0.0.0-$version

build() { # PROGRAM COMMAND GOOS GOARCH: builds cmd/COMMAND as PROGRAM
	mkdir -p "$tmp/$3-$4"
	CGO_ENABLED=0 GOOS=$3 GOARCH=$4 go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o "$tmp/$3-$4/$1" "./cmd/$2"
}
# pack FOLDER NAME...: writes a compressed archive of the files to stdout. The archive depends only on the files and the time of the
# commit, and not on this machine.
pack() {
	tar -C "$1" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - "${@:2}" | gzip -9n
}
archive() { # PROGRAM GOOS GOARCH FILE...: writes the archive of a program, with the license and the files, into OUT
	cp LICENSE "$tmp/$2-$3/"
	pack "$tmp/$2-$3" "$1" LICENSE "${@:4}" >"$out/$1-v$version-$2-$3.tar.gz"
}

for tool in cabundle packages sbom; do
	go build -C "tools/$tool" -o "$tmp/$tool" .
done
"$tmp/packages" docs -version "v$version" -time "$time" "$tmp/docs"
programs=()
for platform in $platforms; do
	os=${platform%/*} architecture=${platform#*/}
	build kubectl-awsauth kubectl-awsauth "$os" "$architecture"
	cp -R "$tmp/docs/." "$tmp/$os-$architecture/"
	archive kubectl-awsauth "$os" "$architecture" kubectl_complete-awsauth completions man
	[ "$os" = linux ] || continue
	build awsauth-guard-webhook webhook linux "$architecture"
	archive awsauth-guard-webhook linux "$architecture"
	programs+=("$tmp/linux-$architecture"/{awsauth-guard-webhook,kubectl-awsauth})
done
"$tmp/packages" build -version "v$version" -time "$time" "$out"

mkdir "$tmp/source"
cp -R charts/awsauth-guard "$tmp/source/"
"$tmp/packages" chart -version "v$version" "$tmp/source/awsauth-guard" CHANGELOG.md
go tool -modfile=tools/helm/go.mod helm package "$tmp/source/awsauth-guard" --version "$version" --app-version "$version" --destination "$tmp"
# The archive that Helm writes has the time of its creation, so pack the chart again. helm push writes the modification time of the
# archive into the manifest of the registry, so set it to the time of the commit.
mkdir "$tmp/chart"
tar -C "$tmp/chart" -xzf "$tmp/awsauth-guard-$version.tgz"
pack "$tmp/chart" awsauth-guard >"$out/awsauth-guard-$version.tgz"
touch -d "@$time" "$out/awsauth-guard-$version.tgz"

"$tmp/cabundle" >"$out/ca-certificates.crt"
"$tmp/sbom" -cas "$out/ca-certificates.crt" -cas-by "$tmp/cabundle" -name awsauth-guard -version "$VERSION" \
	-created "$(date -u -d "@$time" +%FT%TZ)" "${programs[@]}" >"$out/awsauth-guard-$VERSION.spdx.json"
(cd "$out" && sha256sum -- * >checksums.txt)
ls -l "$out"
