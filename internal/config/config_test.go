package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		{"nothing but the head", head, config.Config{AdminGroups: []string{"system:masters"}}},
		{"an empty list of principals", head + "protected: []\n", config.Config{AdminGroups: []string{"system:masters"}, Protected: []config.Protected{}}},
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
			"JSON",
			`{"apiVersion": "awsauth-guard.io/v1alpha1", "kind": "GuardConfig", "adminGroups": ["ops"]}`,
			config.Config{AdminGroups: []string{"ops"}},
		},
		{"CRLF and a document's start", "---\r\n" + strings.ReplaceAll(head, "\n", "\r\n"), config.Config{AdminGroups: []string{"system:masters"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Parse("guard.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.APIVersion, tt.want.Kind = config.APIVersion, config.Kind
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseProblems(t *testing.T) {
	t.Parallel()
	protected := func(arn string) string {
		return head + "protected:\n- arn: " + arn + "\n  groups: [system:masters]\n"
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"only a comment", "# nothing\n", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"an empty document", "---\n", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"not YAML", head + "protected:\n\t- arn: x\n", `guard.yaml:4: is not YAML: found character that cannot start any token`},
		{"a list", "- a\n", `guard.yaml:1: is a list; write a mapping with apiVersion, kind, protected, adminGroups`},
		{"two documents", head + "---\n" + head, `guard.yaml:3: a second document begins here; one file holds one GuardConfig`},
		{
			"no apiVersion and kind", "adminGroups: [a]\n", `
guard.yaml:1: apiVersion: is missing
guard.yaml:1: kind: is missing`,
		},
		{
			"another apiVersion and kind", "apiVersion: v1\nkind: ConfigMap\n", `
guard.yaml:1: apiVersion: is "v1"; write awsauth-guard.io/v1alpha1
guard.yaml:2: kind: is "ConfigMap"; write GuardConfig`,
		},
		{"an unknown field", head + "mode: warn\n", `guard.yaml:3: mode: is no field; the fields are apiVersion, kind, protected, adminGroups`},
		{"a field in another case", head + "admingroups: [a]\n", `guard.yaml:3: admingroups: is no field; write adminGroups`},
		{"an unknown field of a principal", protected("arn:aws:iam::111122223333:role/a") + "  username: a\n", `guard.yaml:6: protected[0].username: is no field; the fields are arn, groups`},
		{"a merge key", head + "<<: {adminGroups: [a]}\n", `guard.yaml:3: <<: is no field; the fields are apiVersion, kind, protected, adminGroups`},
		{"a key that is a list", head + "? [a]\n: b\n", `guard.yaml:3: (a list as key): is no field; the fields are apiVersion, kind, protected, adminGroups`},
		{"a key that cannot be seen", head + "\"\\u200b\": b\n", `guard.yaml:3: "\u200b": is no field; the fields are apiVersion, kind, protected, adminGroups`},
		{"a repeated field", head + "adminGroups: [a]\nadminGroups: [b]\n", `guard.yaml:4: adminGroups: stands twice, first on line 3`},
		{"text instead of a list", head + "adminGroups: system:masters\n", `guard.yaml:3: adminGroups: is text; write a list`},
		{"nothing instead of a list", head + "adminGroups:\n", `guard.yaml:3: adminGroups: is empty; write a list`},
		{"no admin group", head + "adminGroups: []\n", `guard.yaml:3: adminGroups: is an empty list; write at least one group`},
		{"a mapping instead of a list", head + "protected:\n  arn: a\n", `guard.yaml:4: protected: is a mapping; write a list`},
		{"text instead of a principal", head + "protected:\n- arn:aws:iam::111122223333:role/a\n", `guard.yaml:4: protected[0]: is text; write a mapping with arn, groups`},
		{
			"groups that are no names", head + "adminGroups:\n- 5\n- true\n-\n- \"\"\n- [a]\n- \" a\"\n- b\n- b\n- !x c\n", `
guard.yaml:4: adminGroups[0]: is the number 5; write text, "5" in quotes
guard.yaml:5: adminGroups[1]: is the boolean true; write text, "true" in quotes
guard.yaml:6: adminGroups[2]: is empty; write text
guard.yaml:7: adminGroups[3]: is an empty name; write a group
guard.yaml:8: adminGroups[4]: is a list; write text
guard.yaml:9: adminGroups[5]: " a" has white space at an end; write a
guard.yaml:11: adminGroups[7]: "b" stands twice, first on line 10
guard.yaml:12: adminGroups[8]: is a value with the tag !x; write text, "c" in quotes`,
		},
		{
			"an alias", head + "protected:\n- arn: &a arn:aws:iam::111122223333:role/a\n  groups: [x]\n- arn: *a\n  groups: [x]\n",
			`guard.yaml:6: protected[1].arn: is an alias, which is not supported; write text`,
		},
		{"an endless alias", "&a\n" + head + "protected: *a\n", `guard.yaml:4: protected: is an alias, which is not supported; write a list`},
		{"no ARN", head + "protected:\n- groups: [a]\n", `guard.yaml:4: protected[0].arn: is missing`},
		{"no groups", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n", `guard.yaml:4: protected[0].groups: is missing`},
		{"an empty list of groups", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  groups: []\n", `guard.yaml:5: protected[0].groups: is an empty list; write at least one group`},
		{
			"a role with a path", protected("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef"),
			`guard.yaml:4: protected[0].arn: "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef" has a path, which callers arrive without; write arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef`,
		},
		{
			"an STS session", protected("arn:aws:sts::111122223333:assumed-role/Admin/ann"),
			`guard.yaml:4: protected[0].arn: "arn:aws:sts::111122223333:assumed-role/Admin/ann" is an STS session, which no entry matches; write arn:aws:iam::111122223333:role/Admin`,
		},
		{
			"an ARN in capitals", protected("ARN:AWS:iam::111122223333:role/Admin"),
			`guard.yaml:4: protected[0].arn: "ARN:AWS:iam::111122223333:role/Admin" is not written as AWS writes it; write arn:aws:iam::111122223333:role/Admin`,
		},
		{
			"an ARN twice", protected("arn:aws:iam::111122223333:role/Admin") + "- arn: arn:aws:iam::111122223333:role/admin\n  groups: [a]\n",
			`guard.yaml:6: protected[1].arn: "arn:aws:iam::111122223333:role/admin" is already protected by protected[0]; write its groups there`,
		},
		{
			"everything at once", "apiVersion: awsauth-guard.io/v1\nkind: GuardConfig\nprotected:\n- arn: 5\n  groups: []\n  x: y\nadminGroups: [\"\"]\n", `
guard.yaml:1: apiVersion: is "awsauth-guard.io/v1"; write awsauth-guard.io/v1alpha1
guard.yaml:4: protected[0].arn: is the number 5; write text, "5" in quotes
guard.yaml:5: protected[0].groups: is an empty list; write at least one group
guard.yaml:6: protected[0].x: is no field; the fields are arn, groups
guard.yaml:7: adminGroups[0]: is an empty name; write a group`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Parse("guard.yaml", []byte(tt.text))
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
				if !errors.As(e, new(*config.FieldError)) {
					t.Errorf("%v is a %T, want a *FieldError", e, e)
				}
			}
		})
	}
}

// What is wrong with an ARN is awsauth's to say; that it is said, with its hint, is tested here.
func TestParseRefusesARNs(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{
		`""`, "Admin", "arn:aws:iam::1111:role/Admin", "arn:aws:iam::111122223333:role/*", "arn:aws-xx:iam::111122223333:role/Admin",
		"arn:aws:iam::111122223333:instance-profile/nodes", "arn:aws:iam::111122223333:group/admins", "arn:aws:s3:::bucket",
		`"arn:aws:iam::111122223333:role/Admin "`, "AROAEXAMPLEEXAMPLE123", "arn:aws:iam::111122223333:role/",
	} {
		_, err := config.Parse("guard.yaml", []byte(head+"protected:\n- arn: "+arn+"\n  groups: [a]\n"))
		prefix := "guard.yaml:4: protected[0].arn: \"" + strings.Trim(arn, `"`) + "\" "
		if err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: got %v, want an error that begins with %s and has a hint", arn, err, prefix)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "guard.yaml")
	if _, err := config.Load(path); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "reading the configuration: ") {
		t.Errorf("absent file: got %v", err)
	}
	if err := os.WriteFile(path, []byte(head+"protected: [{arn: arn:aws:iam::111122223333:role/a, groups: [b]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := validate.Policy{
		Protected:   []validate.Protected{{ARN: "arn:aws:iam::111122223333:role/a", Groups: []string{"b"}}},
		AdminGroups: []string{"system:masters"},
	}
	if diff := cmp.Diff(want, c.Policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("bad file: got %v, want an error that names it", err)
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("head", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, config.Default()); diff != "" {
		t.Errorf("Default differs from a file that sets nothing (-file +default):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  groups: [a]\nadminGroups: [b]\n")
	f.Add("&a\n" + head + "protected: *a\n")
	f.Add("? {a: [b]}\n: c\n---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("f", []byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("got the configuration %v and the error %v", c, err)
		}
	})
}
