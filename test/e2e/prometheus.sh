#!/usr/bin/env bash
# Downloads and unpacks Debian's Prometheus, because an installed one would run as a service. Its only line on stdout
# is the path of the program. Later runs find the program, and need no network.
# If it can't download Prometheus, it prints no path. With the variable CI set, it fails.
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
