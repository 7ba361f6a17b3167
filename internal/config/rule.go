package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Rule returns the rule with an id. The error says which one may have been meant.
func Rule(id string) (*validate.Rule, error) {
	for _, rule := range validate.Rules() {
		if rule.ID == id {
			return rule, nil
		}
	}
	return nil, fmt.Errorf("%q is no rule; %s", id, ruleHint(id))
}

// SetRule gives a rule another severity, as a line under rules in the file would, and stands above it.
func (c *Config) SetRule(id, severity string) error {
	rule, err := Rule(id)
	if err != nil {
		return err
	}
	if values := Severities(rule); !slices.Contains(values, severity) {
		why := ""
		if severity == string(validate.Deny) {
			why = ", and this rule never refuses"
		}
		return fmt.Errorf("the severity of %s is %q%s; write %s", id, severity, why, either(values))
	}
	rules := maps.Clone(c.Rules)
	if rules == nil {
		rules = make(map[string]validate.Severity)
	}
	rules[rule.ID] = validate.Severity(severity)
	c.Rules = rules
	return nil
}

// Severities are those that a rule can be given.
func Severities(rule *validate.Rule) []string {
	values := choices[reflect.TypeFor[validate.Severity]()]
	if rule.NeverDenies {
		values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == string(validate.Deny) })
	}
	return values
}

// ruleHint says which rule was probably meant by an id that none has.
func ruleHint(id string) string {
	var ids []string
	for _, rule := range validate.Rules() {
		ids = append(ids, rule.ID)
	}
	if name, ok := nearestOf(ids, id); ok {
		return "write " + name
	}
	return "kubectl awsauth rules lists them"
}
