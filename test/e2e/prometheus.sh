#!/usr/bin/env bash
# Prints the name of a Prometheus, as its only line on stdout: Debian's, unpacked, as an installed one would run as a
# service. It is downloaded when it is not there yet; at once afterwards, and without network.
# Where it cannot be had it prints nothing, and fails where CI is set.
set -euo pipefail
# shellcheck source=../../tools/programs.bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/programs.bash"

download() {
	cd "$tmp" && apt-get download -q prometheus && dpkg-deb --extract prometheus_*.deb package &&
		mv package/usr/bin/prometheus . && ./prometheus --version
}

compile_all() {
	say "downloading Debian's Prometheus, once"
	if ! { (download) || { apt-get update -q && (download); }; } >&2; then
		if [ -n "${CI:-}" ]; then
			say "apt-get has no Prometheus, and CI is set, where TestPrometheus must not be left out; name one by E2E_PROMETHEUS"
			exit 1
		fi
		say "apt-get has no Prometheus: TestPrometheus IS SKIPPED; name one by E2E_PROMETHEUS"
		exit 0
	fi
}

folder=$(cached prometheus '' prometheus)
[ -z "$folder" ] || echo "$folder/prometheus"
