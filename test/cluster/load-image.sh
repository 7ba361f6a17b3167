#!/usr/bin/env bash
# Loads images from archives into the running cluster. `docker save` and test/cluster/image write such
# archives.
#   test/cluster/load-image.sh FILE.tar...
set -euo pipefail
# shellcheck source=env.bash
. "$(dirname "${BASH_SOURCE[0]}")/env.bash"

programs=$("$here/programs.sh")
for archive in "$@"; do
	"$programs/ctr" --address "$socket" --namespace k8s.io images import "$archive" >/dev/null
done
