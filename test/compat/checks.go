package main

import (
	"fmt"
	"maps"
	"regexp"
)

// check is a row of the table. It stands for some tests of the suites.
type check struct {
	title string
	// tests is a regular expression for the full names of the tests, such as integration/TestDelete/delete.
	tests string
}

// checks are the rows of the table, in the order of the page. The last row stands for every test, including the tests
// that no other row has.
var checks = []check{
	{"the API server accepts every object of the chart, and warns of none", "chart/TestServerSideDryRun"},
	{"Helm 3 and Helm 4 install, upgrade and uninstall the chart", "chart/(TestRelease|TestModes|TestInstallCommands)"},
	{"kubectl applies and deletes the output of `helm template`", "chart/TestWithoutHelm"},
	{"pods meet the Pod Security Standard that the documents name", "chart/(TestPodsAreRestricted|TestPodsOnTheHost)"},
	{"create", "integration/(TestEveryVerb/create(,_dry_run)?|TestCreate)"},
	{"update", "integration/(TestEveryVerb/update.*|TestChange)"},
	{"patch: JSON, merge, strategic merge", "integration/TestEveryVerb/(JSON|merge|strategic_merge)_patch.*"},
	{"apply, also as the first write, and with force", "integration/TestEveryVerb/(create_by_apply|apply).*"},
	{"delete", "integration/(TestDelete/delete(_dry_run.*)?|TestDeletionByFinalizer)"},
	{"deletecollection", "(integration/(TestDelete/deletecollection.*|TestDeleteCollectionOfOthers)|chart/TestDeleteEverything)"},
	{"match conditions: who is refused, observed or not reviewed", "chart/(TestEnforceAndObserve|TestOwnBypassGroup|TestNoPodAnswers)"},
	{"backstop, a ValidatingAdmissionPolicy", "chart/(TestBackstop|TestBackstopRefusesLastFinalizer|TestBackstopBound|TestBackstopAgain|TestBackstopTypes)"},
	{"mode `warn`: the client gets the warnings of the guard and of the backstop", "(integration/TestModeWarnRefusesNoChange|chart/TestBackstopInModeWarn)"},
	{"audit annotations, and metrics of the API server", "(integration/TestAuditEvent|chart/TestAPIServerMetrics)"},
	{"overrides by annotation and by right", "integration/(TestBreakGlass.*|TestAllowRemoval.*)"},
	{"the guard's own certificates and `caBundle`", "integration/(TestCertificate.*|TestCABundleIsRestored|TestForeignCABundleIsKept)"},
	{"history, restore and rollback", "integration/(TestHistory.*|TestRestore.*|TestRollback.*)"},
	{"enforcement check and self-test", "integration/(TestEnforcement.*|TestSelfTest.*)"},
	{"kubectl and `kubectl awsauth`", "integration/(TestKubectl.*|TestPlugin.*|TestLintComputesWhatKubectlStores|TestEdit.*)"},
	{"every test of `test/integration` and `test/chart`", ".*"},
}

// results are the results of tests.
type results struct {
	tests    map[string]bool // whether a test passes, by its full name
	failures []string        // for each test that fails and has output: its name and output
}

func (r *results) add(other results) {
	if r.tests == nil {
		r.tests = map[string]bool{}
	}
	maps.Copy(r.tests, other.tests)
	r.failures = append(r.failures, other.failures...)
}

// of reports whether every test of a check passes, including its subtests. It returns an error if the check has no
// test.
func (r *results) of(c check) (bool, error) {
	tests := regexp.MustCompile("^(" + c.tests + ")(/.*)?$")
	n, passes := 0, true
	for name, ok := range r.tests {
		if tests.MatchString(name) {
			n++
			passes = passes && ok
		}
	}
	if n == 0 {
		return false, fmt.Errorf("no test matches %s, for the check %q", c.tests, c.title)
	}
	return passes, nil
}
