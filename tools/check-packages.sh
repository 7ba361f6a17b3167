#!/usr/bin/env bash
# Installs the packages of a release as users do, into temporary folders, and runs the installed programs:
#   tools/check-packages.sh [RELEASE]
# RELEASE is the folder that `make dist` writes, dist/release by default. It must have the packages for linux/amd64. The script
# needs kubectl and Go. It checks the deb, the rpm, the Homebrew formula and the man pages with dpkg, rpm, ruby and man. As root it
# also installs the deb into a clean Debian, which debootstrap downloads. If one of these programs is missing, the script says so and
# leaves out its check. With CI=true a missing program is an error.
set -euo pipefail
release=$(realpath "${1:-$(dirname "${BASH_SOURCE[0]}")/../dist/release}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tmp=$(mktemp -d)
debian=$tmp/debian
cleanup() {
	! mountpoint -q "$debian/proc" || umount "$debian/proc"
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

fail() { echo "check-packages: $*" >&2; exit 1; }
has() { # PROGRAM: whether the program is installed
	command -v "$1" >/dev/null && return
	[ "${CI:-}" != true ] || fail "$1 is missing"
	echo "check-packages: $1 is missing, so its check is left out"
	return 1
}
works() { # FOLDER: the plugin in FOLDER runs as kubectl awsauth, lints, and completes
	local path=$1:$PATH
	PATH=$path kubectl awsauth lint examples/aws-auth.yaml >/dev/null || fail "kubectl awsauth does not admit examples/aws-auth.yaml"
	! PATH=$path kubectl awsauth lint examples/tab.yaml >/dev/null 2>&1 || fail "kubectl awsauth admits examples/tab.yaml"
	if [ -e "$1/kubectl_complete-awsauth" ]; then
		[[ $(PATH=$path kubectl __complete awsauth rules role-p 2>/dev/null) == role-path* ]] || fail "kubectl does not complete kubectl awsauth"
	fi
}
one() { # PATTERN: prints the only file that matches, or fails
	local found
	# shellcheck disable=SC2206 # a pattern
	found=($1)
	[ "${#found[@]}" = 1 ] && [ -e "${found[0]}" ] || fail "want one file $1, found ${found[*]}"
	echo "${found[0]}"
}
archive=$(one "$release/kubectl-awsauth-*-linux-amd64.tar.gz")

# krew, offline. It must refuse an archive with another checksum than that in the manifest.
go build -modfile=tools/krew/go.mod -o "$tmp/krew" sigs.k8s.io/krew/cmd/krew
export KREW_ROOT=$tmp/krew-root
cp "$archive" "$tmp/changed.tar.gz"
echo >>"$tmp/changed.tar.gz"
! "$tmp/krew" install --manifest="$release/awsauth.yaml" --archive="$tmp/changed.tar.gz" >/dev/null 2>&1 || fail "krew installs a changed archive"
"$tmp/krew" install --manifest="$release/awsauth.yaml" --archive="$archive" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; fail "krew does not install it"; }
works "$KREW_ROOT/bin"
[ -e "$KREW_ROOT/receipts/awsauth.yaml" ] || fail "krew has no receipt of awsauth"
echo "check-packages: krew installs awsauth, and kubectl runs it"

# The archive, unpacked by hand.
mkdir "$tmp/archive"
tar -C "$tmp/archive" -xzf "$archive"
works "$tmp/archive"
if has man; then
	for page in "$tmp"/archive/man/*.1; do
		MANWIDTH=100 man --warnings=w -l "$page" >"$tmp/page" 2>"$tmp/warnings"
		[ -s "$tmp/page" ] && [ ! -s "$tmp/warnings" ] || { cat "$tmp/warnings" >&2; fail "man does not format $page"; }
	done
fi
echo "check-packages: the archive has the program, the completer and $(find "$tmp/archive/man" -type f | wc -l) man pages"

# The deb, with dpkg's own database in a folder.
if has dpkg; then
	deb=$(one "$release/kubectl-awsauth_*_amd64.deb")
	mkdir -p "$tmp/root/var/lib/dpkg"/{info,updates,triggers}
	touch "$tmp/root/var/lib/dpkg"/{status,available}
	dpkg --root="$tmp/root" --force-not-root --force-bad-path --log=/dev/null --install "$deb" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; fail "dpkg does not install it"; }
	works "$tmp/root/usr/bin"
	[ -s "$tmp/root/usr/share/man/man1/kubectl-awsauth-lint.1.gz" ] || fail "the deb has no man page"
	dpkg --root="$tmp/root" --force-not-root --force-bad-path --log=/dev/null --purge kubectl-awsauth >/dev/null 2>&1
	[ ! -e "$tmp/root/usr/bin/kubectl-awsauth" ] || fail "dpkg leaves the program behind"
	echo "check-packages: dpkg installs, runs and removes the deb"
fi

if has rpm; then
	rpm=$(one "$release/kubectl-awsauth-*.x86_64.rpm")
	rpm --dbpath "$tmp/rpmdb" -K --nosignature "$rpm" >/dev/null || fail "the digests of the rpm are wrong"
	rpm --dbpath "$tmp/rpmdb" -qpl "$rpm" >"$tmp/list"
	for file in /usr/bin/kubectl-awsauth /usr/bin/kubectl_complete-awsauth /usr/share/man/man1/kubectl-awsauth-lint.1.gz; do
		grep -qx "$file" "$tmp/list" || fail "the rpm does not have $file"
	done
	rpm --dbpath "$tmp/rpmdb" --root "$tmp/rpmroot" --nodeps --noscripts --ignorearch -i "$rpm" 2>"$tmp/log" || { cat "$tmp/log" >&2; fail "rpm does not install it"; }
	works "$tmp/rpmroot/usr/bin"
	echo "check-packages: rpm lists and installs the rpm"
fi

if has ruby; then
	ruby -wc "$release/kubectl-awsauth.rb" >/dev/null || fail "the formula is no Ruby"
	echo "check-packages: the formula is Ruby"
fi

# The deb, on a machine that has no other software than a minimal Debian, with the commands of the installation page.
if [ "$(id -u)" != 0 ]; then
	[ "${CI:-}" != true ] || fail "the clean Debian needs root"
	echo "check-packages: the clean Debian needs root, so it was not checked"
elif has debootstrap; then
	deb=$(one "$release/kubectl-awsauth_*_amd64.deb")
	# man-db and bash-completion are what a user's machine has for the man pages and the completion.
	debootstrap --variant=minbase --include=man-db,bash-completion stable "$debian" http://deb.debian.org/debian >"$tmp/log" 2>&1 || { tail -n 20 "$tmp/log" >&2; fail "debootstrap fails"; }
	mkdir -p "$debian/proc"
	mountpoint -q "$debian/proc" || mount -t proc proc "$debian/proc"
	cp "$deb" "$debian/root/"
	cp "$(command -v kubectl)" "$debian/usr/local/bin/"
	cp examples/aws-auth.yaml examples/tab.yaml "$debian/root/"
	chroot "$debian" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEB="${deb##*/}" bash -euo pipefail -s >"$tmp/log" 2>&1 <<-'END' || { cat "$tmp/log" >&2; fail "the deb does not work in a clean Debian"; }
		cd /root
		fail() { echo "$*" >&2; exit 1; }
		dpkg -i "$DEB"
		kubectl awsauth lint aws-auth.yaml
		! kubectl awsauth lint tab.yaml || fail "the plugin admits tab.yaml"
		[[ $(kubectl __complete awsauth rules role-p 2>/dev/null) == role-path* ]] || fail "kubectl does not complete kubectl awsauth"
		man kubectl-awsauth-lint | grep -q 'aws-auth' || fail "man has no page of lint"
		# shellcheck disable=SC1091 # a file of the clean Debian
		source /usr/share/bash-completion/bash_completion
		_completion_loader kubectl-awsauth || [ $? = 124 ]
		complete -p kubectl-awsauth || fail "bash does not complete kubectl-awsauth"
		dpkg --purge kubectl-awsauth
		[ ! -e /usr/bin/kubectl-awsauth ] || fail "dpkg leaves the program behind"
	END
	umount "$debian/proc"
	echo "check-packages: the deb works in a clean Debian $(cat "$debian/etc/debian_version")"
fi
