package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Rule returns the rule with this id. It returns an error for an unknown id. The error suggests a similar id if there
// is one.
func Rule(id string) (*validate.Rule, error) {
	for _, rule := range validate.Rules() {
		if rule.ID == id {
			return rule, nil
		}
	}
	return nil, fmt.Errorf("%q %s", id, unknownRule(id))
}

// SetRule sets the severity of a rule, instead of the severity in the file. It returns an error for an unknown rule,
// and for a severity that the rule can't have.
func (c *Config) SetRule(id, severity string) error {
	rule, err := Rule(id)
	if err != nil {
		return err
	}
	if values := Severities(rule); !slices.Contains(values, severity) {
		why := ""
		if severity == string(validate.Deny) {
			why = ", but this rule never refuses"
		}
		return fmt.Errorf("the severity of %s is %q%s; write %s", id, severity, why, oneOf(values))
	}
	rules := maps.Clone(c.Rules)
	if rules == nil {
		rules = make(map[string]validate.Severity)
	}
	rules[rule.ID] = validate.Severity(severity)
	c.Rules = rules
	return nil
}

// Severities returns the severities that a rule can have.
func Severities(rule *validate.Rule) []string {
	values := enumValues[reflect.TypeFor[validate.Severity]()]
	if rule.NeverDenies {
		values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == string(validate.Deny) })
	}
	return values
}

// lintRules are the ids of the rules of access entries, which only the command lint runs, on plans and templates. The
// webhook doesn't contain these rules, so this package can't import them.
var lintRules = []string{
	"access-entry-principal", "access-entry-sso-path", "access-entry-username", "access-entry-group", "access-entry-type", "access-entry-account",
	"access-entry-mode", "access-policy-type", "access-policy-lost", "last-admin-access-entry", "cluster-replaced", "mode-refused",
	"mode-without-admin", "mode-drops-aws-auth",
}

// unknownRule returns the problem with an id that no rule of the webhook has. It names the most similar id, or the command
// that lists the ids. For a rule of access entries it names the flag of lint that sets its severity.
func unknownRule(id string) string {
	if slices.Contains(lintRules, id) {
		return "is a rule for plans and templates, which the guard doesn't evaluate; set it with kubectl awsauth lint --rule " + id + "=SEVERITY"
	}
	var ids []string
	for _, rule := range validate.Rules() {
		ids = append(ids, rule.ID)
	}
	if name, ok := nearestName(ids, id); ok {
		return "is not a rule; write " + name
	}
	return "is not a rule; kubectl awsauth rules lists them"
}
