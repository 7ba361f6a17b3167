package config_test

import (
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestSetRule: what is set stands above the file, and what no file may hold is refused.
func TestSetRule(t *testing.T) {
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
	for id, want := range map[string]string{
		"role-paths": `"role-paths" is no rule; write role-path`,
		"role-path":  `the severity of role-path is "error"; write deny, warn or off`,
	} {
		if err := config.Default().SetRule(id, "error"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
}
