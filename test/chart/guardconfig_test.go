package chart_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

// withGuardConfig renders the chart with the value guardConfig and returns the error of helm. text is the value, as JSON or as
// YAML on one line.
func withGuardConfig(t *testing.T, text string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte("guardConfig: "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := template(t, "--values", file)
	return err
}

// parse reads a GuardConfig as the webhook does. text has the same form as for withGuardConfig.
func parse(text string) error {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	_, err := config.Parse("guardconfig.yaml", []byte("{apiVersion: awsauth-guard.io/v1alpha1, kind: GuardConfig, "+inner+"}\n"))
	return err
}

// TestGuardConfigIsValidatedAlike: the chart and the webhook accept the same GuardConfigs. If the chart accepted a
// GuardConfig with which the webhook doesn't start, an upgrade would hang.
func TestGuardConfigIsValidatedAlike(t *testing.T) {
	t.Parallel()
	const account = "111122223333"
	long := strings.Repeat("x", 64)
	protected := func(arns ...string) string {
		var list []string
		for _, arn := range arns {
			list = append(list, fmt.Sprintf(`{arn: %q, groups: ["system:masters"]}`, arn))
		}
		return "{protected: [" + strings.Join(list, ", ") + "]}"
	}
	entries := func(arns ...string) string { return fmt.Sprintf("{accessEntries: %s}", jsonOf(arns)) }
	iam := func(resource string) string { return "arn:aws:iam::" + account + ":" + resource }
	entriesOf := func(resources ...string) string {
		for i := range resources {
			resources[i] = iam(resources[i])
		}
		return entries(resources...)
	}

	good := []string{
		protected(iam("role/Admin"), iam("user/ann"), iam("user/people/ann"), iam("root")),
		protected("arn:aws:sts::" + account + ":federated-user/bob"),
		`{protected: [{arn: "` + iam("role/Admin") + `", admin: true}, {arn: "` + iam("role/Ops") + `", admin: false, groups: [ops]}]}`,
		`{overrides: {groups: ["system:masters"], subjectAccessReview: true}}`,
		protected(iam("role/" + long)),
		protected(iam("role/a_b+c=d,e.f@g-h")),
		entriesOf("role/Admin", "role/team/Node", "user/ann", "user//ann", "root"),
		entriesOf("role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef"),
		`{adminGroups: ["yes", "0o7", "1e3", "a b"], rules: {deleted: off, emptied: false, role-path: warn}}`,
	}
	for _, partition := range awsauth.Partitions() {
		good = append(good, protected("arn:"+partition+":iam::"+account+":role/Admin"), entries("arn:"+partition+":iam::"+account+":role/a/Admin"))
	}
	good = append(good,
		`{eks: {enabled: true, cluster: prod}}`, `{eks: {enabled: false, cluster: "", region: "", refresh: 1h}}`,
		`{eks: {enabled: true, cluster: a_B-9, region: us-gov-east-1, refresh: 10m}, overrides: {principals: ["arn:aws:iam::111122223333:role/team/Admin", "arn:aws:iam::111122223333:user/ann"]}}`,
		`{iam: {mode: off}}`, `{iam: {mode: deny, budget: 1.5s}}`, `{iam: {budget: 15s}}`,
		`{iam: {mode: warn, accounts: {"222233334444": {roleARN: "arn:aws:iam::222233334444:role/x/Reader", externalID: "4711"}}}}`)
	bad := []string{
		`{iam: {mode: enforce}}`, `{iam: {budget: 2}}`, `{iam: {budget: 0s}}`, `{iam: {budget: 0.00s}}`, `{iam: {budget: 16s}}`, `{iam: {budget: 1h}}`,
		`{iam: {accounts: {"1": {roleARN: "arn:aws:iam::222233334444:role/a"}}}}`,
		`{iam: {accounts: {"222233334444": {roleARN: "arn:aws:iam::333344445555:role/a"}}}}`,
		`{iam: {accounts: {"222233334444": {roleARN: "arn:aws:iam::222233334444:user/a"}}}}`,
		`{iam: {accounts: {"222233334444": {}}}}`,
		`{eks: {enabled: true}}`, `{eks: {enabled: true, cluster: ""}}`, `{eks: {enabled: true, cluster: a/b}}`, `{eks: {mode: "on"}}`,
		`{eks: {region: EU}}`, `{eks: {refresh: 30s}}`, `{eks: {refresh: 2h}}`,
		`{overrides: {principals: [Admin]}}`, `{overrides: {principals: ["arn:aws:iam::111122223333:role/a/b", "arn:aws:iam::111122223333:role/b"]}}`,
		`{overrides: {principals: ["arn:aws:sts::111122223333:assumed-role/Admin/me"]}}`,
		`{adminGroups: ["ops\u00a0"]}`,
		`{overrides: {groups: ["\u2003ops"]}}`,
		`{protected: [{arn: "` + iam("role/Admin") + `", groups: ["ops\u00a0"]}]}`,
		`{protected: [{arn: "` + iam("role/Admin") + `"}]}`,
		`{protected: [{arn: "` + iam("role/Admin") + `", admin: false}]}`,
		`{protected: [{arn: "` + iam("role/Admin") + `", admin: "true"}]}`,
		`{overrides: {groups: ["system:unauthenticated"]}}`,
		protected(iam("role/team/Admin")),
		protected(iam("role//Admin")),
		protected("arn:aws:sts::" + account + ":assumed-role/Admin/me"),
		protected(iam("role/Admin"), iam("role/admin")),
		protected(iam("user/people/Ann"), iam("user/people/ann")),
		protected("arn:aws:sts::" + account + ":federated-user/" + long),
		protected("arn:aws:sts::" + account + ":federated-user/a/b"),
		protected("arn:aws:sts::" + account + ":root"),
		protected("arn:aws:sts::" + account + ":role/Admin"),
		protected("ARN:aws:iam::" + account + ":role/Admin"),
		protected("arn:aws:iam:eu-west-1:" + account + ":role/Admin"),
		entries("arn:aws:sts::" + account + ":federated-user/bob"),
		entries("arn:aws:sts::" + account + ":assumed-role/Admin/me"),
		entriesOf("role/a/b", "role/b"),
		entriesOf("role/b", "role/x/B"),
		entriesOf("user/Ann", "user/ann"),
	}
	for _, resource := range []string{
		"", "role", "role/", "role/a/", "user/", "group/devs", "nonsense", "Role/Admin", "root/x", "instance-profile/x", "federated-user/bob",
		"role/" + long + "x", "role/a b", "role/*", "role/a\n", "role/a ", "user/p q/ann", "role/ä", "mfa/ann",
	} {
		bad = append(bad, protected(iam(resource)), entriesOf(resource))
	}
	for _, arn := range []string{"arn:aws-foo:iam::" + account + ":role/Admin", "arn:aws-:iam::" + account + ":role/Admin", "arn:aws:iam::1111222233334:role/Admin", "arn:aws:s3:::bucket"} {
		bad = append(bad, protected(arn), entries(arn))
	}
	for name, list := range map[string][]string{"accepted": good, "refused": bad} {
		for i, text := range list {
			t.Run(fmt.Sprintf("%s %d", name, i), func(t *testing.T) {
				t.Parallel()
				for who, err := range map[string]error{"chart": withGuardConfig(t, text), "process": parse(text)} {
					switch {
					case name == "accepted" && err != nil:
						t.Errorf("the %s refuses %s: %v", who, text, err)
					case name == "refused" && err == nil:
						t.Errorf("the %s accepts %s", who, text)
					case err != nil && who == "chart":
						wantSays(t, strings.ReplaceAll(err.Error(), "guardConfig.", "/guardConfig/"), "/guardConfig/")
					}
				}
			})
		}
	}
}

// TestPrincipalKey: the chart refuses two access entries if, and only if, the guard computes the same key for their principals.
func TestPrincipalKey(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:iam::111122223333:"
	for _, pair := range [][2]string{
		{"role/Admin", "role/admin"},
		{"role/Admin", "role/team/Admin"},
		{"role/a/b/c/Admin", "role//ADMIN"},
		{"role/role/Admin", "role/Admin"},
		{"role/x:role/Admin", "role/Admin"},
		{"role/Admin", "role/Admins"},
		{"role/Admin", "user/Admin"},
		{"user/Admin", "user/people/Admin"},
		{"user/people/Admin", "user/People/admin"},
		{"user/x:role/y/Admin", "user/x:role/Admin"},
		{"root", "role/root"},
	} {
		t.Run(pair[0]+" "+pair[1], func(t *testing.T) {
			t.Parallel()
			a, b := prefix+pair[0], prefix+pair[1]
			same := awsauth.PrincipalKey(a) == awsauth.PrincipalKey(b)
			err := withGuardConfig(t, fmt.Sprintf("{accessEntries: [%q, %q]}", a, b))
			switch {
			case err == nil && same:
				t.Errorf("the chart accepts both ARNs, although the guard has the same key %s for them", awsauth.PrincipalKey(a))
			case err != nil && !same:
				t.Error(err)
			case err != nil:
				wantSays(t, err.Error(), "stands twice")
			}
		})
	}
}

func jsonOf(list []string) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // every text can be encoded as JSON
	}
	return string(text)
}
