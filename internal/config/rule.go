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
	return nil, fmt.Errorf("%q is not a rule; %s", id, ruleHint(id))
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

// ruleHint returns a hint for an unknown rule id: the most similar id, or the command that lists the ids.
func ruleHint(id string) string {
	var ids []string
	for _, rule := range validate.Rules() {
		ids = append(ids, rule.ID)
	}
	if name, ok := nearestName(ids, id); ok {
		return "write " + name
	}
	return "kubectl awsauth rules lists them"
}
