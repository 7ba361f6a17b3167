package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// aws is the IAM that the webhook asks, where a test's configuration makes it.
var aws *iamtest.Server

// startAWS starts it, and points every program at it that is started later.
func startAWS() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "iamtest-")
	if err != nil {
		return nil, err
	}
	aws = iamtest.Start(dir)
	for _, pair := range aws.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("pointing the webhook at a stand-in for AWS: %w", err)
		}
	}
	return func() {
		aws.Close()
		_ = os.RemoveAll(dir) // it is temporary
	}, nil
}

// TestIAM adds, changes and removes entries while IAM is asked.
func TestIAM(t *testing.T) {
	role := func(name string) string {
		return "- rolearn: arn:aws:iam::" + iamtest.Account + ":role/" + name + "\n  username: " + strings.ToLower(name) + "\n  groups:\n  - deployers\n"
	}
	aws.Add("arn:aws:iam::"+iamtest.Account+":role/there", "arn:aws:iam::"+iamtest.Account+":role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_fedcba9876543210")
	c := as(t, operator)
	edit := func(before, after data) error {
		t.Helper()
		store(t, before)
		return update(t.Context(), c, after)
	}
	added := base().with("mapRoles", admin+node+role("missing"))

	// Off, nobody is asked.
	wantAdmitted(t, c, edit(base(), added))
	if n := aws.Count(); n > 0 {
		t.Errorf("%d calls although IAM is not to be asked", n)
	}

	for _, mode := range []string{"deny", "warn"} {
		t.Run(mode, func(t *testing.T) {
			configure(t, guardConfig+"iam: {mode: "+mode+"}\n")
			eventually(t.Context(), t, "it says who it is", func() bool {
				text, err := os.ReadFile(webhook.Log())
				return err == nil && strings.Contains(string(text), `"identity":"`+iamtest.Identity+`"`)
			})
			err := edit(base(), added)
			if mode == "deny" {
				wantRefused(t, err, "principal-missing")
			} else {
				wantAdmitted(t, c, err, "principal-missing")
			}
			wantAdmitted(t, c, edit(base(), base().with("mapRoles", admin+node+role("there"))))

			// The role has got another suffix, and the cause says which.
			err = edit(base(), base().with("mapRoles", admin+node+role("AWSReservedSSO_Dev_0123456789abcdef")))
			if mode == "deny" {
				wantRefused(t, err, "principal-missing")
				if said := strings.Join(causes(err), "\n"); !strings.Contains(said, "role/AWSReservedSSO_Dev_fedcba9876543210") {
					t.Errorf("the cause does not name the role that is there:\n%s", said)
				}
			} else {
				wantAdmitted(t, c, err, "principal-missing")
			}

			// What IAM says is no reason to keep an entry, or not to repair one.
			for name, test := range map[string][2]data{
				"removed":               {added, base()},
				"fewer groups":          {added, base().with("mapRoles", strings.Replace(added["mapRoles"], "  groups:\n  - deployers\n", "", 1))},
				"a path taken away":     {base().with("mapRoles", admin+node+role("team/missing")), added},
				"a section that parses": {base().with("mapRoles", "\t"+added["mapRoles"]), added},
				"a key that is right":   {base().with("mapRoles", admin+node+strings.Replace(role("missing"), "rolearn", "rolarn", 1)), added},
			} {
				calls := aws.Count()
				store(t, test[0])
				if err := update(t.Context(), c, test[1]); err != nil {
					t.Errorf("%s: refused: %v", name, err)
				}
				c.Take()
				if n := aws.Count() - calls; n > 0 {
					t.Errorf("%s: %d calls", name, n)
				}
			}
			remove(t)
			_, err = c.Create(t.Context(), added.configMap(), metav1.CreateOptions{})
			wantAdmitted(t, c, err, "admin-grant", "principal-missing")
		})
	}

	// An IAM that hangs or refuses: the change passes with a warning, and soon enough.
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
			wantAdmitted(t, c, edit(base(), base().with("mapRoles", admin+node+role("other-"+test.name))), "principal-unverified")
		})
	}

	// Of another account and another partition.
	configure(t, guardConfig+"iam: {mode: deny}\n")
	foreign := "- rolearn: arn:aws:iam::444455556666:role/a\n  username: a\n  groups:\n  - deployers\n"
	wantAdmitted(t, c, edit(base(), base().with("mapRoles", admin+node+foreign)), "principal-unverified")
	wantAdmitted(t, c, edit(base(), base().with("mapRoles", admin+node+strings.Replace(foreign, "arn:aws:", "arn:aws-cn:", 1))), "foreign-partition")

	// Breaking the glass overrules IAM, too.
	store(t, base())
	broken := added.configMap()
	broken.Annotations = map[string]string{"awsauth-guard.io/break-glass": "IAM is wrong"}
	masters := as(t, rest.ImpersonationConfig{UserName: "operator", Groups: []string{"system:masters"}})
	_, err := masters.Update(t.Context(), broken, metav1.UpdateOptions{})
	wantAdmitted(t, masters, err, "principal-missing")
}
