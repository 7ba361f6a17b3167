package integration_test

import (
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// The API server refuses the change of a rule's case if the engine denies it, and its message names the same rules. The test uses
// the cases that update or delete an aws-auth that a client can store as it is, and that need no IAM. The engine evaluates them
// with the configuration of the tests' webhook.
func TestCasesThroughTheAPIServer(t *testing.T) {
	policy := validate.Policy{Protected: []access.Protected{{ARN: adminARN, Groups: []string{access.Masters}}}}
	tried, refused := 0, 0
	for _, pattern := range []string{"rules/*/*.txtar", "verdict/*.txtar"} {
		cases, err := rulecase.Glob(filepath.Join("..", "..", "internal", "validate", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			change := c.Change
			if !plain(change.Old) || change.New != nil && !plain(change.New) || len(change.Replaced) > 0 || !change.Now.IsZero() || len(change.IAM.Principals) > 0 {
				continue
			}
			change.Operation = validate.Update
			if change.New == nil {
				change.Operation = validate.Delete
			}
			tried++
			t.Run(filepath.Base(filepath.Dir(c.File))+"/"+filepath.Base(c.File), func(t *testing.T) {
				if change.Requester.Username == "" {
					change.Requester = validate.Requester{Username: operator.UserName}
				}
				user := rest.ImpersonationConfig{UserName: change.Requester.Username, Groups: change.Requester.Groups, Extra: change.Requester.Extra}
				store(t, change.Old.Data)
				client := as(t, user)
				var got error
				if change.New == nil {
					got = client.Delete(t.Context(), awsauth.Name, metav1.DeleteOptions{})
				} else {
					got = update(t.Context(), client, change.New.Data)
				}
				change.Old, change.New = reviewed(change.Old), reviewed(change.New)
				want := validate.Evaluate(change, policy).Denied()
				switch {
				case got == nil:
					if len(want) > 0 {
						t.Errorf("the API server admits the change, and the engine denies it by the rules %q", want)
					}
					return
				case apierrors.IsForbidden(got): // a deletion, whose message names the rules
					if diff := cmp.Diff(want, ruleIDs(got.Error())); diff != "" {
						t.Errorf("rules (-engine +API server):\n%s", diff)
					}
				default:
					if diff := cmp.Diff(want, ruleIDs(causes(got)...)); diff != "" {
						t.Errorf("%v: rules (-engine +API server):\n%s", got, diff)
					}
				}
				refused++
			})
		}
	}
	t.Logf("%d cases, %d of them refused", tried, refused)
	if tried < 100 || refused < 50 {
		t.Errorf("%d cases were tried and %d refused: the selection leaves out too many", tried, refused)
	}
}

// reviewed returns an object as an AdmissionReview has it. It removes the parts that only a manifest can have, such
// as a key that occurs twice.
func reviewed(o *awsauth.Object) *awsauth.Object {
	if o == nil {
		return nil
	}
	return &awsauth.Object{Data: o.Data, Reviewed: true}
}

// plain reports whether an object has only data, so that every client can store it unchanged.
func plain(o *awsauth.Object) bool {
	if o == nil || o.Immutable || len(o.Annotations)+len(o.BinaryData)+len(o.NotText)+len(o.Finalizers)+len(o.Owners) > 0 || o.Deleting {
		return false
	}
	for key, text := range o.Data {
		if key == "" || !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// ruleIDs finds the id of every rule in a message. Otherwise the tests would not notice an unexpected finding of this rule.
func TestRuleIDsFindsEveryRule(t *testing.T) {
	for _, rule := range validate.Rules() {
		if diff := cmp.Diff([]string{rule.ID}, ruleIDs("data: the message ["+rule.ID+"]")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
