#!/usr/bin/env bash
# Fails unless the programs and the certificate authorities of an image are those of the release, of which the SBOM is made:
#   tools/same-files.sh IMAGE RELEASE
# IMAGE is the folder that `docker buildx build --platform linux/amd64,linux/arm64 --output type=local,dest=IMAGE` makes,
# RELEASE that of `make dist`.
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
	cmp "$1/linux_$architecture/etc/ssl/certs/ca-certificates.crt" "$2/ca-certificates.crt"
done
echo "${0##*/}: the image has the programs and the certificate authorities of the release"
