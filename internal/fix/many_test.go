package fix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// manyRoles returns an aws-auth with n entries for different roles. After these it has the entries of the given number of
// calls of write.
func manyRoles(n, more int, write func(b *strings.Builder, i int)) *awsauth.Object {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- rolearn: arn:aws:iam::111122223333:role/r%d\n  username: user%d\n  groups:\n  - viewers\n", i, i)
	}
	for i := range more {
		write(&b, i)
	}
	return &awsauth.Object{Data: map[string]string{"mapRoles": b.String()}}
}

// conflicting writes an entry for a role with a path. Without the path it would have the ARN of entry i, but another username.
// So the correction is refused.
func conflicting(b *strings.Builder, i int) {
	fmt.Fprintf(b, "- rolearn: arn:aws:iam::111122223333:role/team/r%d\n  username: other%d\n  groups:\n  - viewers\n", i, i)
}

// correctable writes an entry for a role with a path. No other entry has its ARN without the path.
func correctable(b *strings.Builder, i int) {
	fmt.Fprintf(b, "- rolearn: arn:aws:iam::111122223333:role/team/t%d\n  username: other%d\n  groups:\n  - viewers\n", i, i)
}

// repeated writes a copy of entry i.
func repeated(b *strings.Builder, i int) {
	fmt.Fprintf(b, "- rolearn: arn:aws:iam::111122223333:role/r%d\n  username: user%d\n  groups:\n  - viewers\n", i, i)
}

// rivals writes an entry for a role with a path. Without the path, all of these entries would have the ARN of the first entry,
// but other usernames. So the corrections are refused.
func rivals(b *strings.Builder, i int) {
	fmt.Fprintf(b, "- rolearn: arn:aws:iam::111122223333:role/team%d/r0\n  username: other%d\n  groups:\n  - viewers\n", i, i)
}

// mixed writes an entry by conflicting, correctable or repeated, in turns.
func mixed(b *strings.Builder, i int) {
	write := []func(*strings.Builder, int){conflicting, correctable, repeated}
	write[i%len(write)](b, i)
}

// TestFixCorrectsBesidesConflicts checks that a run makes all corrections that are possible, even if others are refused. The
// run may evaluate only the given number of versions.
func TestFixCorrectsBesidesConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		write           func(*strings.Builder, int)
		fixed, versions int
	}{
		"conflicting": {conflicting, 0, 4},
		"correctable": {correctable, 150, 2},
		"repeated":    {repeated, 150, 2},
		"mixed":       {mixed, 100, 12},
		"rivals":      {rivals, 0, 151},
	} {
		t.Run(name, func(t *testing.T) {
			o := manyRoles(150, 150, c.write)
			r := fix.ObjectWithin(o, validate.Policy{}, c.versions)
			if len(r.Fixed) != c.fixed || r.Untried != 0 {
				t.Errorf("corrected %d findings instead of %d, and did not try %d", len(r.Fixed), c.fixed, r.Untried)
			}
			for _, change := range awsauth.DiffAccess(o.Load(), r.Object.Load()) {
				if !change.New {
					t.Errorf("the access of %s changes", change.ARN)
				}
			}
		})
	}
}

// TestFixOfMoreFindingsThanReported checks that the limit of reported findings doesn't limit the corrections.
func TestFixOfMoreFindingsThanReported(t *testing.T) {
	if r := fix.Object(manyRoles(1, 1100, correctable), validate.Policy{}); len(r.Fixed) != 1100 {
		t.Errorf("corrected %d findings instead of 1100", len(r.Fixed))
	}
}

// TestFixCountsUntriedFindings checks that Untried is the number of findings that the run did not try to correct before it
// reached its limit.
func TestFixCountsUntriedFindings(t *testing.T) {
	r := fix.ObjectWithin(manyRoles(2, 30, rivals), validate.Policy{}, 10)
	if len(r.Fixed) != 0 || r.Untried != 21 {
		t.Errorf("corrected %d findings instead of 0, and did not try %d instead of 21", len(r.Fixed), r.Untried)
	}
}

// BenchmarkFix fixes 3,300 entries, of which 300 have a fault.
func BenchmarkFix(b *testing.B) {
	for _, c := range []struct {
		name  string
		write func(*strings.Builder, int)
	}{{"conflicting", conflicting}, {"correctable", correctable}, {"repeated", repeated}, {"rivals", rivals}, {"mixed", mixed}} {
		b.Run(c.name, func(b *testing.B) {
			o := manyRoles(3000, 300, c.write)
			for b.Loop() {
				r := fix.Object(o, validate.Policy{})
				b.ReportMetric(float64(len(r.Fixed)), "fixed")
			}
		})
	}
}
