package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

const fields = "apiVersion, kind, mode, protected, adminGroups, accessEntries, rules, overrides, iam, eks, selfTest, history, restore"

func TestParseReportsEveryProblem(t *testing.T) {
	t.Parallel()
	protected := func(arn string) string {
		return head + "protected:\n- arn: " + arn + "\n  groups: [system:masters]\n"
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"only a comment", "# nothing\n", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"an empty document", "---\n", `guard.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`},
		{"not YAML", head + "protected:\n\t- arn: x\n", `guard.yaml:4: is not YAML: found character that cannot start any token`},
		{"a list", "- a\n", `guard.yaml:1: is a list; write a mapping with ` + fields},
		{"two documents", head + "---\n" + head, `guard.yaml:3: a second document begins here; one file holds one GuardConfig`},
		{
			"no apiVersion and kind", "adminGroups: [a]\n", `
guard.yaml:1: apiVersion: is missing
guard.yaml:1: kind: is missing`,
		},
		{
			"another apiVersion and kind", "apiVersion: v1\nkind: guardconfig\n", `
guard.yaml:1: apiVersion: is "v1"; write awsauth-guard.io/v1alpha1
guard.yaml:2: kind: is "guardconfig"; write GuardConfig`,
		},
		{
			"another object", "apiVersion: v1\nkind: ConfigMap\ndata: {}\n",
			`guard.yaml:2: this is a "ConfigMap", not a GuardConfig; write apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`,
		},
		{
			"values of the Helm chart", "webhook: {}\nguardConfig:\n  mode: warn\n",
			`guard.yaml:2: these are values of the Helm chart, not a GuardConfig; write the fields below guardConfig to a file of their own, ` +
				`with apiVersion: awsauth-guard.io/v1alpha1 and kind: GuardConfig`,
		},
		{"an unknown field", head + "policy: warn\n", `guard.yaml:3: policy: is not a field; the fields are ` + fields},
		{"a misspelt field", head + "rule: {}\n", `guard.yaml:3: rule: is not a field; write rules`},
		{"another mode", head + "mode: audit\n", `guard.yaml:3: mode: is "audit"; write enforce or warn`},
		{"a mode that is off", head + "mode: false\n", `guard.yaml:3: mode: is the boolean false; write enforce or warn`},
		{"nothing as mode", head + "mode:\n", `guard.yaml:3: mode: is empty; write enforce or warn`},
		{"rules as a list", head + "rules: [role-path]\n", `guard.yaml:3: rules: is a list; write a mapping`},
		{
			"rules that are none", head + `rules:
  role-paths: deny
  Emptied: warn
  nonsense: off
  role-path: true
  deleted: Off
  last-admin: error
  not-a-list: 5
  wrong-type:
  missing-arn: deny
  missing-arn: deny
  ? [a]
  : deny
  "\t": deny
`, `
guard.yaml:4: rules.role-paths: is not a rule; write role-path
guard.yaml:5: rules.Emptied: is not a rule; write emptied
guard.yaml:6: rules.nonsense: is not a rule; kubectl awsauth rules lists them
guard.yaml:7: rules.role-path: is the boolean true; write deny, warn or off
guard.yaml:8: rules.deleted: is "Off"; write deny, warn or off
guard.yaml:9: rules.last-admin: is "error"; write deny, warn or off
guard.yaml:10: rules.not-a-list: is the number 5; write deny, warn or off
guard.yaml:11: rules.wrong-type: is empty; write deny, warn or off
guard.yaml:13: rules.missing-arn: appears twice, first on line 12
guard.yaml:14: rules.(a list as key): is not a name
guard.yaml:16: rules."\t": is not a rule; kubectl awsauth rules lists them`,
		},
		{
			"access entries that are none", head + `accessEntries:
- arn:aws:sts::111122223333:assumed-role/Admin/ann
- arn:aws:sts::111122223333:federated-user/bob
- arn:aws:iam::111122223333:role/team/Admin
- arn:aws:iam::111122223333:role/admin
- Admin
- 5
`, `
guard.yaml:4: accessEntries[0]: "arn:aws:sts::111122223333:assumed-role/Admin/ann" is the ARN of an STS session, which access entries don't support; write arn:aws:iam::111122223333:role/Admin
guard.yaml:5: accessEntries[1]: "arn:aws:sts::111122223333:federated-user/bob" is the ARN of an STS session, which access entries don't support; write the ARN of the IAM user behind it
guard.yaml:7: accessEntries[3]: "arn:aws:iam::111122223333:role/admin" appears twice, first on line 6
guard.yaml:8: accessEntries[4]: "Admin" is not an ARN; write the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/NAME
guard.yaml:9: accessEntries[5]: is the number 5; write text, "5" in quotes`,
		},
		{
			"IAM that cannot be asked", head + `iam:
  mode: enforce
  budget: 2
  accounts:
    222233334444: {roleARN: arn:aws:iam::333344445555:role/a}
    "111122223333": {roleARN: arn:aws:iam::111122223333:user/a}
    "444455556666": {roleARN: Reader, externalID: 5}
    "555566667777": {externalID: e}
    "666677778888": {roleARN: arn:aws:sts::666677778888:assumed-role/a/b}
    production: {roleARN: arn:aws:iam::111122223333:role/a}
`, `
guard.yaml:4: iam.mode: is "enforce"; write deny, warn or off
guard.yaml:5: iam.budget: is the number 2; write a time such as 2s or 500ms
guard.yaml:7: iam.accounts.222233334444.roleARN: "arn:aws:iam::333344445555:role/a" belongs to another account; write a role of 222233334444
guard.yaml:8: iam.accounts.111122223333.roleARN: "arn:aws:iam::111122223333:user/a" is not a role; write the ARN of the role to assume
guard.yaml:9: iam.accounts.444455556666.externalID: is the number 5; write text, "5" in quotes
guard.yaml:9: iam.accounts.444455556666.roleARN: "Reader" is not an ARN; write the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/NAME
guard.yaml:10: iam.accounts.555566667777.roleARN: is missing
guard.yaml:11: iam.accounts.666677778888.roleARN: "arn:aws:sts::666677778888:assumed-role/a/b" is the ARN of an STS session, which can't be assumed; write arn:aws:iam::666677778888:role/a
guard.yaml:12: iam.accounts.production: is not an account id; write 12 digits in quotes`,
		},
		{
			"numbers and switches", head + `selfTest: {enabled: "true"}
history: {versions: 0}
restore:
  enabled: 1
  maxPerHour: 99999999999999999999
`, `
guard.yaml:3: selfTest.enabled: is text; write true or false
guard.yaml:4: history.versions: is 0; write a number from 1 to 100
guard.yaml:6: restore.enabled: is the number 1; write true or false
guard.yaml:7: restore.maxPerHour: is the number 99999999999999999999; write a number`,
		},
		{"too many versions", head + "history: {versions: 101}\nrestore: {maxPerHour: -1}\n", `
guard.yaml:3: history.versions: is 101; write a number from 1 to 100
guard.yaml:4: restore.maxPerHour: is -1; write a number from 1 to 60`},
		{"a rule that never refuses", head + "rules:\n  principal-unverified: deny\n", `guard.yaml:4: rules.principal-unverified: is "deny", but this rule never refuses; write warn or off`},
		{"a restore in mode warn", head + "mode: warn\nrestore: {enabled: true}\n", `guard.yaml:4: restore.enabled: is true, but a restore needs mode enforce; write false, or set mode: enforce`},
		{"no time for IAM", head + "iam: {budget: 0s}\n", `guard.yaml:3: iam.budget: is 0s; write more than 0s and at most 15s`},
		{"too much time for IAM", head + "iam: {budget: 1m}\n", `guard.yaml:3: iam.budget: is 1m0s; write more than 0s and at most 15s`},
		{"a cluster without a name", head + "eks: {enabled: true}\n", `guard.yaml:3: eks.enabled: is true without the name of the cluster; write it as eks.cluster`},
		{"an ARN as the cluster", head + "eks: {cluster: 'arn:aws:eks:eu-west-1:111122223333:cluster/prod'}\n", `guard.yaml:3: eks.cluster: "arn:aws:eks:eu-west-1:111122223333:cluster/prod" is not the name of an EKS cluster; write the name that aws eks list-clusters shows`},
		{"a zone as the region", head + "eks: {region: eu-west-1a}\n", `guard.yaml:3: eks.region: "eu-west-1a" is not a region; write one such as eu-west-1`},
		{"reads that follow too quickly", head + "eks: {refresh: 10s}\n", `guard.yaml:3: eks.refresh: is 10s; write a time from 1m0s to 1h0m0s`},
		{"a session that may override", head + "overrides: {principals: ['arn:aws:sts::111122223333:assumed-role/Admin/ann']}\n", `guard.yaml:3: overrides.principals[0]: "arn:aws:sts::111122223333:assumed-role/Admin/ann" is the ARN of an STS session, which a later session doesn't have; write arn:aws:iam::111122223333:role/Admin`},
		{"nothing as overrides", head + "overrides:\n", `guard.yaml:3: overrides: is empty; write a mapping with groups, principals, subjectAccessReview`},
		{"no override group", head + "overrides: {groups: []}\n", `guard.yaml:3: overrides.groups: is an empty list; write at least one group`},
		{
			"override groups with every user", head + `overrides:
  groups:
  - system:serviceaccounts
  - system:serviceaccounts:kube-system
  - system:authenticated
  - ""
`, `
guard.yaml:5: overrides.groups[0]: "system:serviceaccounts" contains service accounts, which can't override the guard; write a group of people
guard.yaml:6: overrides.groups[1]: "system:serviceaccounts:kube-system" contains service accounts, which can't override the guard; write a group of people
guard.yaml:7: overrides.groups[2]: "system:authenticated" is too wide; write a group of only the people who may override the guard
guard.yaml:8: overrides.groups[3]: is an empty name; write a group`,
		},
		{"a field in another case", head + "admingroups: [a]\n", `guard.yaml:3: admingroups: is not a field; write adminGroups`},
		{"an unknown field of a principal", protected("arn:aws:iam::111122223333:role/a") + "  username: a\n", `guard.yaml:6: protected[0].username: is not a field; the fields are arn, groups, admin`},
		{"a merge key", head + "<<: {adminGroups: [a]}\n", `guard.yaml:3: <<: is not a field; the fields are ` + fields},
		{"a key that is a list", head + "? [a]\n: b\n", `guard.yaml:3: (a list as key): is not a field; the fields are ` + fields},
		{"a key that cannot be seen", head + "\"\\u200b\": b\n", `guard.yaml:3: "\u200b": is not a field; the fields are ` + fields},
		{"a repeated field", head + "adminGroups: [a]\nadminGroups: [b]\n", `guard.yaml:4: adminGroups: appears twice, first on line 3`},
		{"text instead of a list", head + "adminGroups: system:masters\n", `guard.yaml:3: adminGroups: is text; write a list`},
		{"nothing instead of a list", head + "adminGroups:\n", `guard.yaml:3: adminGroups: is empty; write a list`},
		{"no admin group", head + "adminGroups: []\n", `guard.yaml:3: adminGroups: is an empty list; write at least one group`},
		{"a mapping instead of a list", head + "protected:\n  arn: a\n", `guard.yaml:4: protected: is a mapping; write a list`},
		{"text instead of a principal", head + "protected:\n- arn:aws:iam::111122223333:role/a\n", `guard.yaml:4: protected[0]: is text; write a mapping with arn, groups, admin`},
		{
			"groups that are no names", head + "adminGroups:\n- 5\n- true\n-\n- \"\"\n- [a]\n- \" a\"\n- b\n- b\n- !x c\n", `
guard.yaml:4: adminGroups[0]: is the number 5; write text, "5" in quotes
guard.yaml:5: adminGroups[1]: is the boolean true; write text, "true" in quotes
guard.yaml:6: adminGroups[2]: is empty; write text
guard.yaml:7: adminGroups[3]: is an empty name; write a group
guard.yaml:8: adminGroups[4]: is a list; write text
guard.yaml:9: adminGroups[5]: " a" starts or ends with white space; write a
guard.yaml:11: adminGroups[7]: "b" appears twice, first on line 10
guard.yaml:12: adminGroups[8]: is a value with the tag !x; write text, "c" in quotes`,
		},
		{
			"an alias", head + "protected:\n- arn: &a arn:aws:iam::111122223333:role/a\n  groups: [x]\n- arn: *a\n  groups: [x]\n",
			`guard.yaml:6: protected[1].arn: is an alias, which is not supported; write text`,
		},
		{"an endless alias", "&a\n" + head + "protected: *a\n", `guard.yaml:4: protected: is an alias, which is not supported; write a list`},
		{"no ARN", head + "protected:\n- groups: [a]\n", `guard.yaml:4: protected[0].arn: is missing`},
		{"no groups", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n", `guard.yaml:4: protected[0].groups: is missing; write the groups that the principal must keep, or admin: true`},
		{"a group instead of a list", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  groups: a\n", `guard.yaml:5: protected[0].groups: is text; write a list`},
		{"a misspelt list of groups", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  group: [a]\n", `guard.yaml:5: protected[0].group: is not a field; write groups`},
		{"an empty list of groups", head + "protected:\n- arn: arn:aws:iam::111122223333:role/a\n  groups: []\n", `guard.yaml:5: protected[0].groups: is an empty list; write at least one group`},
		{
			"a role with a path", protected("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef"),
			`guard.yaml:4: protected[0].arn: "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef" has a path, but the ARN of a caller has none; write arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef`,
		},
		{
			"an STS session", protected("arn:aws:sts::111122223333:assumed-role/Admin/ann"),
			`guard.yaml:4: protected[0].arn: "arn:aws:sts::111122223333:assumed-role/Admin/ann" is the ARN of an STS session, which no entry matches; write arn:aws:iam::111122223333:role/Admin`,
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
guard.yaml:6: protected[0].x: is not a field; the fields are arn, groups, admin
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

// The error of Parse for a wrong ARN names the field and the ARN, and has a hint.
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
