#!/usr/bin/env bash
# Checks that the programs of an image are those of the release. The SBOM is made from the programs of the release.
#   tools/same-programs.sh IMAGE RELEASE
# IMAGE is the folder of `docker buildx build --platform linux/amd64,linux/arm64 --output type=local,dest=IMAGE`. RELEASE
# is the folder of `make dist`.
set -euo pipefail

if [ "$#" -ne 2 ]; then
	echo "usage: ${0##*/} IMAGE RELEASE" >&2
	exit 2
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for architecture in amd64 arm64; do
	for program in awsauth-guard-webhook kubectl-awsauth; do
		tar -C "$tmp" -xzf "$2/$program"-*"-linux-$architecture.tar.gz" "$program"
		cmp "$1/linux_$architecture/$program" "$tmp/$program"
	done
done
echo "${0##*/}: the image has the programs of the release"
