#!/usr/bin/env bash
# Fails unless both images have the same programs and certificate authorities as the release, which the SBOM lists:
#   tools/same-files.sh IMAGE CLI RELEASE
# IMAGE is the folder that `docker buildx build --platform linux/amd64,linux/arm64 --output type=local,dest=IMAGE` writes. CLI is the
# folder that the same command writes with `--target cli`. RELEASE is the folder that `make dist` writes.
set -euo pipefail

if [ "$#" -ne 3 ]; then
	echo "usage: ${0##*/} IMAGE CLI RELEASE" >&2
	exit 2
fi
image=$1 cli=$2 release=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for architecture in amd64 arm64; do
	for program in awsauth-guard-webhook kubectl-awsauth; do
		tar -C "$tmp" -xzf "$release/$program"-*"-linux-$architecture.tar.gz" "$program"
		cmp "$image/linux_$architecture/$program" "$tmp/$program"
	done
	cmp "$cli/linux_$architecture/usr/bin/kubectl-awsauth" "$tmp/kubectl-awsauth"
	for folder in "$image" "$cli"; do
		cmp "$folder/linux_$architecture/etc/ssl/certs/ca-certificates.crt" "$release/ca-certificates.crt"
	done
done
echo "${0##*/}: the images have the programs and the certificate authorities of the release"
