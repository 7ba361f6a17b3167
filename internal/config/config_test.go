package config_test

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const head = "apiVersion: awsauth-guard.io/v1alpha1\nkind: GuardConfig\n"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       config.Config
	}{
		{"nothing but the head", head, config.Config{}},
		{"an empty list of principals", head + "protected: []\n", config.Config{Protected: []config.Protected{}}},
		{"the defaults, written", head + "mode: enforce\nadminGroups: [system:masters]\noverrides: {groups: [system:masters]}\n", config.Config{}},
		{"empty overrides", head + "overrides: {}\n", config.Config{}},
		{"no rules and access entries", head + "rules: {}\naccessEntries: []\n", config.Config{Rules: map[string]validate.Severity{}, AccessEntries: []string{}}},
		{"mode warn", head + "mode: warn\n", config.Config{Mode: validate.WarnMode}},
		{"every way to write off", head + `
rules:
  role-path: off
  deleted: false
  emptied: "off"
  last-admin: False
  self-lockout: FALSE
  wrong-type: warn
  yaml-syntax: 'deny'
`, config.Config{Rules: map[string]validate.Severity{
			"role-path": validate.Off, "deleted": validate.Off, "emptied": validate.Off, "last-admin": validate.Off, "self-lockout": validate.Off,
			"wrong-type": validate.Warn, "yaml-syntax": validate.Deny,
		}}},
		{"access entries and overrides", head + `
accessEntries:
- arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef
- arn:aws:iam::111122223333:role/Node
- arn:aws:iam::111122223333:user/people/ann
overrides:
  groups: [breakers, "system:masters"]
`, config.Config{
			AccessEntries: []string{
				"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef",
				"arn:aws:iam::111122223333:role/Node",
				"arn:aws:iam::111122223333:user/people/ann",
			},
			Overrides: config.Overrides{Groups: []string{"breakers", "system:masters"}},
		}},
		{
			"every kind of principal", head + `
# comments stay comments
protected:
- arn: arn:aws:iam::111122223333:role/Admin
  groups: [system:masters, "ops"]
- {arn: arn:aws-cn:iam::111122223333:user/people/ann, groups: [system:masters]}
- arn: arn:aws:iam::111122223333:root
  groups:
  - system:masters
- arn: arn:aws:sts::111122223333:federated-user/bob
  groups: [yes]
adminGroups: [ops, system:masters]
`, config.Config{
				Protected: []config.Protected{
					{ARN: "arn:aws:iam::111122223333:role/Admin", Groups: []string{"system:masters", "ops"}},
					{ARN: "arn:aws-cn:iam::111122223333:user/people/ann", Groups: []string{"system:masters"}},
					{ARN: "arn:aws:iam::111122223333:root", Groups: []string{"system:masters"}},
					{ARN: "arn:aws:sts::111122223333:federated-user/bob", Groups: []string{"yes"}},
				},
				AdminGroups: []string{"ops", "system:masters"},
			},
		},
		{
			"IAM", head + `
iam:
  mode: off
  budget: 500ms
  accounts:
    222233334444: {roleARN: arn:aws:iam::222233334444:role/team/Reader, externalID: "4711"}
`,
			config.Config{IAM: config.IAM{Mode: validate.Off, Budget: 500 * time.Millisecond, Accounts: map[string]config.Account{
				"222233334444": {RoleARN: "arn:aws:iam::222233334444:role/team/Reader", ExternalID: "4711"},
			}}},
		},
		{
			"numbers and switches", head + "selfTest: {enabled: true}\nhistory: {versions: 5}\nrestore: {enabled: true, maxPerHour: 0x1}\n",
			config.Config{SelfTest: config.SelfTest{Enabled: true}, History: config.History{Versions: 5}, Restore: config.Restore{Enabled: true, MaxPerHour: 1}},
		},
		{
			"access entries read from EKS, and admins by them",
			head + "eks: {enabled: true, cluster: prod, region: eu-west-1, refresh: 10m}\noverrides: {principals: ['arn:aws:iam::111122223333:role/team/Admin']}\n",
			config.Config{
				EKS:       config.EKS{Enabled: true, Cluster: "prod", Region: "eu-west-1", Refresh: 10 * time.Minute},
				Overrides: config.Overrides{Groups: []string{"system:masters"}, Principals: []string{"arn:aws:iam::111122223333:role/team/Admin"}},
			},
		},
		{
			"JSON",
			`{"apiVersion": "awsauth-guard.io/v1alpha1", "kind": "GuardConfig", "adminGroups": ["ops"]}`,
			config.Config{AdminGroups: []string{"ops"}},
		},
		{"CRLF and a document's start", "---\r\n" + strings.ReplaceAll(head, "\n", "\r\n"), config.Config{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Parse("guard.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.APIVersion, tt.want.Kind = config.APIVersion, config.Kind
			tt.want.Mode = cmp.Or(tt.want.Mode, validate.Enforce)
			tt.want.IAM.Mode = cmp.Or(tt.want.IAM.Mode, validate.Off)
			tt.want.EKS.Refresh = cmp.Or(tt.want.EKS.Refresh, 5*time.Minute)
			tt.want.IAM.Budget = cmp.Or(tt.want.IAM.Budget, 2*time.Second)
			tt.want.History.Versions = cmp.Or(tt.want.History.Versions, 10)
			tt.want.Restore.MaxPerHour = cmp.Or(tt.want.Restore.MaxPerHour, 3)
			for _, groups := range []*[]string{&tt.want.AdminGroups, &tt.want.Overrides.Groups} {
				if *groups == nil {
					*groups = []string{"system:masters"}
				}
			}
			if diff := gocmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "guard.yaml")
	if _, err := config.Load(path); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "reading the configuration: ") {
		t.Errorf("absent file: got %v", err)
	}
	if err := os.WriteFile(path, []byte(head+`mode: warn
protected: [{arn: arn:aws:iam::111122223333:role/a, groups: [b]}]
accessEntries: [arn:aws:iam::111122223333:role/c]
rules: {role-path: off}
overrides: {groups: [breakers]}
iam: {mode: deny}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := validate.Policy{
		Mode:           validate.WarnMode,
		Rules:          map[string]validate.Severity{"role-path": validate.Off},
		Protected:      []access.Protected{{ARN: "arn:aws:iam::111122223333:role/a", Groups: []string{"b"}}},
		AdminGroups:    []string{"system:masters"},
		AccessEntries:  []string{"arn:aws:iam::111122223333:role/c"},
		OverrideGroups: []string{"breakers"},
		IAMMode:        validate.Deny,
	}
	if diff := gocmp.Diff(want, c.Policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("bad file: got %v, want an error that names it", err)
	}
}

func TestDefaultEqualsEmptyFile(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("head", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(got, config.Default()); diff != "" {
		t.Errorf("Default differs from a file that sets nothing (-file +default):\n%s", diff)
	}
}

// readsBack encodes the effective configuration, decodes the result, and checks that this gives the same configuration.
func readsBack(t *testing.T, c *config.Config) {
	t.Helper()
	effective := c.Effective()
	text, err := effective.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("effective", text)
	if err != nil {
		t.Fatalf("the effective configuration is refused: %v\n%s", err, text)
	}
	if diff := gocmp.Diff(effective, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the effective configuration reads back as (-want +got):\n%s", diff)
	}
}

func TestEffectiveHasEveryRule(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Rules = map[string]validate.Severity{"role-path": validate.Off, "deleted": validate.Warn}
	readsBack(t, c)
	got := c.Effective().Rules
	for _, rule := range validate.Rules() {
		if want := cmp.Or(c.Rules[rule.ID], rule.Severity); got[rule.ID] != want {
			t.Errorf("%s: got %q, want %q", rule.ID, got[rule.ID], want)
		}
	}
	if len(got) != len(validate.Rules()) || len(c.Rules) != 2 {
		t.Errorf("%d effective rules, %d configured", len(got), len(c.Rules))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  groups: [a]\nadminGroups: [b]\n")
	f.Add("&a\n" + head + "protected: *a\n")
	f.Add(head + "mode: warn\nrules: {role-path: off}\noverrides: {groups: [a]}\naccessEntries: [arn:aws:iam::111122223333:role/a]\n")
	f.Add(head + "iam: {mode: warn, budget: 1s, accounts: {'222233334444': {roleARN: arn:aws:iam::222233334444:role/a}}}\n")
	f.Add("? {a: [b]}\n: c\n---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("f", []byte(text))
		if (c == nil) == (err == nil) {
			t.Fatalf("got the configuration %v and the error %v", c, err)
		}
		if c != nil {
			readsBack(t, c)
		}
	})
}
