#!/usr/bin/env bash
# Checks that the subjects of commits have the form of CONTRIBUTING: "package: imperative subject", in at most 90 characters. It
# checks the last 50 commits of this branch, except the commit that added this file and earlier ones.
#   tools/verify-commits.sh          checks the commits of this repository
#   tools/verify-commits.sh -        checks subjects from stdin, one a line
#   tools/verify-commits.sh -test    tests the check itself
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

max=90
# One path or several, a colon, and a word in lower case.
form='^[A-Za-z0-9][A-Za-z0-9._/*-]*(, [A-Za-z0-9._/*-]+)*: [a-z]'
# Words after the colon that aren't imperatives: an article or a pronoun, or a form such as "added", "adding" and "adds".
noun='^[^:]+: (an?|the|this|that|it|its|we|no|some|when|if) '
verb='^[^:]+: [a-z-]+(ed|ing|[^us]s) '
# Imperatives with the endings of those forms.
exempt='^[^:]+: (alias|bring|embed|feed|need|proceed|ring|seed|shed|speed|string|swing) '

check() { # reads subjects from stdin, reports each wrong one, and fails if there is one
	local subject problem failed=0
	while IFS= read -r subject; do
		problem=
		if [[ ! $subject =~ $form ]]; then
			problem='want "path: imperative subject", with the subject in lower case'
		elif [[ $subject =~ $noun || ($subject =~ $verb && ! $subject =~ $exempt) ]]; then
			problem='want an imperative verb after the colon, such as "add" or "reject"'
		elif ((${#subject} > max)); then
			problem="${#subject} characters, want at most $max"
		fi
		if [[ -n $problem ]]; then
			echo "$subject: $problem" >&2
			failed=1
		fi
	done
	return "$failed"
}

selftest() {
	local good bad
	good=('CONTRIBUTING: name the cases' 'restore: ignore versions that were never stored' 'server, admission: pass the deadline' 'go.mod: embed x'
		'test/chart: compress the golden' 'internal/iam: focus the error')
	bad=('Fix a bug' 'restore: Ignore versions' 'restore: ignored versions' 'restore: ignoring versions'
		'restore: ignores versions' 'oracle: a fault is new' 'restore ignore versions' ''
		"restore: $(printf 'x%.0s' {1..90})")
	for subject in "${good[@]}"; do
		check <<<"$subject" || { echo "the check rejects a good subject: $subject" >&2; return 1; }
	done
	for subject in "${bad[@]}"; do
		if check <<<"$subject" 2>/dev/null; then
			echo "the check admits a bad subject: $subject" >&2
			return 1
		fi
	done
}

case ${1-} in
-) check; exit ;;
-test) selftest; exit ;;
esac
selftest

# A tarball has no history. In a shallow clone, the check covers only the commits that the clone has.
if ! git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
	echo "verify-commits: no git history here; no commit subject was checked"
	exit 0
fi
added=$(git log --diff-filter=A --format=%H -- tools/verify-commits.sh | tail -n 1)
if [[ -z $added ]]; then
	echo "verify-commits: no commit has tools/verify-commits.sh yet; no commit subject was checked"
	exit 0
fi
[[ $(git rev-parse --is-shallow-repository) == false ]] ||
	echo "verify-commits: this clone is shallow; only its commits are checked"
# A merge may bring older commits of other branches. The check leaves them out.
git log --first-parent --no-merges --max-count=50 --format=%s "$added..HEAD" | check
