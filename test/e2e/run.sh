#!/usr/bin/env bash
# Builds the image and the tests, starts a cluster, and runs the tests in it. The arguments are those of the test
# binary, such as -test.run SelfManaged. KEEP=1 leaves the cluster running.
# With E2E_KUBECONFIG, the tests run in the cluster of that file's current context. The cluster must have the image
# E2E_IMAGE, or must be able to pull it: see README.md. The tests install the release awsauth-guard and overwrite
# kube-system/aws-auth, so use a cluster that has no users.
set -euo pipefail
[ -z "${E2E_KUBECONFIG:-}" ] || E2E_KUBECONFIG=$(realpath -e "$E2E_KUBECONFIG")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'e2e: %4ds  %s\n' "$SECONDS" "$*"; }

if [ -n "${E2E_KUBECONFIG:-}" ] && [ -z "${E2E_IMAGE:-}" ]; then
	echo "E2E_IMAGE: is empty; name the image that the cluster has or can pull; test/e2e/README.md says how it gets one" >&2
	exit 1
fi

tmp=$(mktemp -d)
down=
cleanup() {
	rm -rf "$tmp"
	[ -z "$down" ] || test/cluster/down.sh
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

say "building the tests, helm and cert-manager, and looking for a Prometheus"
E2E_KUBECTL=$(tools/controlplane.sh)/kubectl
E2E_HELM=$(go tool -n -modfile=tools/helm/go.mod helm)
E2E_PROMETHEUS=${E2E_PROMETHEUS:-$(test/e2e/prometheus.sh)} # empty: TestPrometheus is skipped, as prometheus.sh has said
E2E_CERT_MANAGER=$(test/e2e/cert-manager.sh)
go -C tools/cert-manager mod download github.com/cert-manager/cert-manager
E2E_CERT_MANAGER_CHART=$(go -C tools/cert-manager list -m -f '{{.Dir}}/deploy/charts/cert-manager' github.com/cert-manager/cert-manager)
go test -c -tags e2e -o "$tmp/e2e.test" ./test/e2e

enter=()
if [ -z "${E2E_KUBECONFIG:-}" ]; then
	# test/cluster/up.sh and down.sh also use NETNS.
	export NETNS=${NETNS:-awsauth-guard}
	E2E_IMAGE=awsauth-guard.test/awsauth-guard:e2e
	say "building the image"
	make image-archive IMAGE="$E2E_IMAGE" PLATFORMS="linux/$(go env GOHOSTARCH)" IMAGE_ARCHIVE="$tmp/image.tar" >/dev/null
	size=$(stat --format %s "$tmp/image.tar") # the size of the compressed image
	if [ "$size" -gt 30000000 ]; then
		echo "the image has $size bytes; 30 MB are enough" >&2
		exit 1
	fi
	printf 'figure: %-34s %d.%d MB compressed\n' "image" "$((size / 1000000))" "$((size / 100000 % 10))"
	[ -n "${KEEP:-}" ] || down=1
	E2E_KUBECONFIG=$(test/cluster/up.sh)
	test/cluster/load-image.sh "$tmp/image.tar"
	enter=(nsenter "--net=/run/netns/$NETNS")
fi
export E2E_KUBECONFIG E2E_KUBECTL E2E_HELM E2E_IMAGE E2E_PROMETHEUS E2E_CERT_MANAGER E2E_CERT_MANAGER_CHART

say "testing"
(cd test/e2e && "${enter[@]}" "$tmp/e2e.test" -test.v -test.parallel 8 -test.timeout 20m "$@")
