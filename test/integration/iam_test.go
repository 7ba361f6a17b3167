package integration_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// aws stands in for IAM. The webhook asks it if a test's configuration enables lookups.
var aws *iamtest.Server

// eks stands in for the EKS API. The webhook reads access entries from it if a test's configuration enables this.
var eks *ekstest.Server

// startAWS starts aws and eks. It sets the environment variables by which programs that start later find them.
func startAWS() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "iamtest-")
	if err != nil {
		return nil, err
	}
	aws, eks = iamtest.Start(dir), ekstest.Start()
	eks.SetCA(cluster.Admin.CAData)
	for _, pair := range append(aws.Environ(), "AWS_ENDPOINT_URL_EKS="+eks.URL) {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("pointing the webhook at a stand-in for AWS: %w", err)
		}
	}
	return func() {
		aws.Close()
		eks.Close()
		_ = os.RemoveAll(dir) // an error leaves only a temporary folder
	}, nil
}

// TestIAM adds, changes and removes entries in each mode of the lookups in IAM: off, deny and warn.
func TestIAM(t *testing.T) {
	role := func(name string) string {
		return "- rolearn: arn:aws:iam::" + iamtest.Account + ":role/" + name + "\n  username: " + strings.ToLower(name) + "\n  groups:\n  - deployers\n"
	}
	aws.Add("arn:aws:iam::"+iamtest.Account+":role/there", "arn:aws:iam::"+iamtest.Account+":role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_fedcba9876543210")
	with := func(entry string) data { return base().with("mapRoles", admin+node+entry) }
	without := func(string) data { return base() }
	c := as(t, operator)
	edit := func(before, after data) error {
		t.Helper()
		store(t, before)
		return update(t.Context(), c, after)
	}
	added := with(role("missing"))

	// asked returns the number of calls of GetRole for a role.
	asked := func(name string) (n int) {
		for _, call := range aws.Calls("GetRole") {
			if call.Form.Get("RoleName") == name {
				n++
			}
		}
		return n
	}
	// In mode off the guard doesn't call IAM.
	wantAdmitted(t, c, edit(base(), added))
	if n := asked("missing"); n > 0 {
		t.Errorf("%d calls of IAM in mode off", n)
	}

	for _, mode := range []string{"deny", "warn"} {
		t.Run(mode, func(t *testing.T) {
			configure(t, guardConfig+"iam: {mode: "+mode+"}\n")
			eventually(t.Context(), t, "the webhook logs its identity in IAM", func() bool {
				text, err := os.ReadFile(webhook.Log())
				return err == nil && strings.Contains(string(text), `"identity":"`+iamtest.Identity+`"`)
			})
			err := edit(base(), added)
			if mode == "deny" {
				wantRefused(t, err, "principal-missing")
			} else {
				wantAdmitted(t, c, err, "principal-missing")
			}
			if asked("missing") == 0 {
				t.Error("IAM was not asked")
			}
			wantAdmitted(t, c, edit(base(), with(role("there"))))

			// Here, IAM Identity Center has created a role again with another suffix. The refusal names the new role.
			err = edit(base(), with(role("AWSReservedSSO_Dev_0123456789abcdef")))
			if mode == "deny" {
				wantRefused(t, err, "principal-missing")
				if said := strings.Join(causes(err), "\n"); !strings.Contains(said, "role/AWSReservedSSO_Dev_fedcba9876543210") {
					t.Errorf("the cause does not name the role that is there:\n%s", said)
				}
			} else {
				wantAdmitted(t, c, err, "principal-missing")
			}

			// A change may remove the entry of a role that IAM doesn't have, or repair another fault of the entry. The guard
			// doesn't ask IAM about it. Each case has its own role, because the guard caches the answers of IAM.
			for i, test := range []struct {
				name          string
				before, after func(entry string) data
			}{
				{"removed", with, without},
				{"fewer groups", with, func(entry string) data { return with(strings.Replace(entry, "  groups:\n  - deployers\n", "", 1)) }},
				{"a path taken away", func(entry string) data { return with(strings.Replace(entry, ":role/", ":role/team/", 1)) }, with},
				{"a section that parses", func(entry string) data { return base().with("mapRoles", "\t"+admin+node+entry) }, with},
				{"a key that is right", func(entry string) data { return with(strings.Replace(entry, "rolearn", "rolarn", 1)) }, with},
			} {
				name := fmt.Sprintf("gone-%s-%d", mode, i)
				store(t, test.before(role(name)))
				if err := update(t.Context(), c, test.after(role(name))); err != nil {
					t.Errorf("%s: refused: %v", test.name, err)
				}
				c.Take()
				if n := asked(name); n > 0 {
					t.Errorf("%s: %d calls", test.name, n)
				}
			}
			// If the map had no admin or no node role before, the guard looks up a new principal, too, but only warns if IAM
			// doesn't have it.
			for i, before := range []data{base().with("mapRoles", admin), base().with("mapRoles", node)} {
				name := fmt.Sprintf("new-%s-%d", mode, i)
				store(t, before)
				if err := update(t.Context(), c, with(role(name))); err != nil {
					t.Errorf("a first node or admin: refused: %v", err)
				}
				if said := strings.Join(c.Take(), "\n"); !strings.Contains(said, "principal-missing") {
					t.Errorf("a first node or admin: %q", said)
				}
			}
			remove(t)
			_, err = c.Create(t.Context(), added.configMap(), metav1.CreateOptions{})
			wantAdmitted(t, c, err, "admin-grant", "principal-missing")
		})
	}

	// If IAM hangs or refuses, the guard admits the change with a warning, and in time. Without the configured budget
	// of 500 ms, each edit would take the default budget of 2 s. A busy machine may delay one edit for a second, but
	// not each of three.
	const soon = 1500 * time.Millisecond
	for _, test := range []struct {
		name   string
		answer iamtest.Answer
	}{
		{"denied", iamtest.AccessDenied()},
		{"hung", aws.Hang()},
	} {
		t.Run(test.name, func(t *testing.T) {
			configure(t, guardConfig+"iam: {mode: deny, budget: 500ms}\n")
			aws.Answer("GetRole", test.answer)
			defer aws.Answer("GetRole")
			var took []time.Duration
			for try := 0; try < 3 && !slices.ContainsFunc(took, func(d time.Duration) bool { return d < soon }); try++ {
				store(t, base())
				start := time.Now()
				err := update(t.Context(), c, with(role(fmt.Sprintf("other-%s-%d", test.name, try))))
				took = append(took, time.Since(start))
				wantAdmitted(t, c, err, "principal-unverified")
			}
			if slices.Min(took) >= soon {
				t.Errorf("the edits took %s with a budget of 500ms", took)
			}
		})
	}

	// The guard can't look up principals of another account or another partition.
	configure(t, guardConfig+"iam: {mode: deny}\n")
	foreign := "- rolearn: arn:aws:iam::444455556666:role/a\n  username: a\n  groups:\n  - deployers\n"
	wantAdmitted(t, c, edit(base(), with(foreign)), "principal-unverified")
	wantAdmitted(t, c, edit(base(), with(strings.Replace(foreign, "arn:aws:", "arn:aws-cn:", 1))), "foreign-partition")

	// Break-glass also overrules a denial by the rule principal-missing.
	store(t, base())
	broken := added.configMap()
	broken.Annotations = map[string]string{"awsauth-guard.io/break-glass": "IAM is wrong"}
	masters := as(t, rest.ImpersonationConfig{UserName: "operator", Groups: []string{"system:masters"}})
	_, err := masters.Update(t.Context(), broken, metav1.UpdateOptions{})
	wantAdmitted(t, masters, err, "principal-missing")
}
