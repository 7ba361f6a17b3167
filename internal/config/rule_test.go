package config_test

import (
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// SetRule overrides the file, and refuses a rule or a severity that a file can't have.
func TestSetRuleOverridesFile(t *testing.T) {
	t.Parallel()
	fromFile, err := config.Parse("guard.yaml", []byte(head+"rules: {role-path: off, deleted: warn}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*config.Config{fromFile, config.Default()} {
		if err := c.SetRule("role-path", "warn"); err != nil || c.Policy().Rules["role-path"] != validate.Warn {
			t.Errorf("%v, %v", c.Policy().Rules, err)
		}
	}
	if fromFile.Policy().Rules["deleted"] != validate.Warn {
		t.Error("another rule of the file has changed")
	}
	for setting, want := range map[[2]string]string{
		{"role-paths", "error"}:           `"role-paths" is not a rule; write role-path`,
		{"role-path", "error"}:            `the severity of role-path is "error"; write deny, warn or off`,
		{"principal-unverified", "error"}: `the severity of principal-unverified is "error"; write warn or off`,
		{"principal-unverified", "deny"}:  `the severity of principal-unverified is "deny", but this rule never refuses; write warn or off`,
	} {
		if err := config.Default().SetRule(setting[0], setting[1]); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", setting, err, want)
		}
	}
	if err := config.Default().SetRule("principal-unverified", "off"); err != nil {
		t.Error(err)
	}
}

// Only lint runs the rules of access entries. A GuardConfig with such a rule is wrong, and the problem names the flag of
// lint.
func TestRulesOfAccessEntriesAreForLint(t *testing.T) {
	t.Parallel()
	for _, rule := range entryplan.Rules() {
		want := "guard.yaml:3: rules." + rule.ID + ": is a rule for plans and templates, which the guard doesn't evaluate; set it with kubectl awsauth lint --rule " + rule.ID + "=SEVERITY"
		if _, err := config.Parse("guard.yaml", []byte(head+"rules: {"+rule.ID+": warn}\n")); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
