package config

import (
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// check reports values that are well-formed and cannot be meant. Fields that already have a
// problem are passed over.
func (d *decoder) check(c *Config) {
	if line, ok := d.lines["apiVersion"]; ok && c.APIVersion != APIVersion {
		d.report(line, "apiVersion", "is %q; write %s", c.APIVersion, APIVersion)
	}
	if line, ok := d.lines["kind"]; ok && c.Kind != Kind {
		d.report(line, "kind", "is %q; write %s", c.Kind, Kind)
	}
	for i, p := range c.Protected {
		path := fmt.Sprintf("protected[%d]", i)
		if d.checkARN(path+".arn", p.ARN) {
			d.checkRepeated(c.Protected, i)
		}
		d.checkGroups(path+".groups", p.Groups)
	}
	d.checkGroups("adminGroups", c.AdminGroups)
}

// checkARN reports an ARN that no entry of aws-auth can hold to any effect.
func (d *decoder) checkARN(path, text string) bool {
	line, ok := d.lines[path]
	if !ok {
		return false
	}
	arn, err := awsauth.ParseARN(text)
	if err != nil {
		e := awsauth.AsARNError(err)
		d.report(line, path, "%q %s; %s", text, e.Problem, e.Hint)
		return false
	}
	if role, ok := arn.SessionRole(); ok {
		d.report(line, path, "%q is an STS session, which no entry matches; write %s", text, role)
		return false
	}
	if role, ok := arn.WithoutPath(); ok {
		d.report(line, path, "%q has a path, which callers arrive without; write %s", text, role)
		return false
	}
	if text != arn.String() {
		d.report(line, path, "%q is not written as AWS writes it; write %s", text, arn)
		return false
	}
	return true
}

// checkRepeated reports the ARN of list[i] if it stands before.
func (d *decoder) checkRepeated(list []Protected, i int) {
	path := fmt.Sprintf("protected[%d].arn", i)
	for j, other := range list[:i] {
		if strings.EqualFold(other.ARN, list[i].ARN) {
			d.report(d.lines[path], path, "%q is already protected by protected[%d]; write its groups there", list[i].ARN, j)
			return
		}
	}
}

func (d *decoder) checkGroups(path string, groups []string) {
	if line, ok := d.lines[path]; ok && len(groups) == 0 {
		d.report(line, path, "is an empty list; write at least one group")
	}
	first := map[string]int{}
	for i, group := range groups {
		element := fmt.Sprintf("%s[%d]", path, i)
		line, ok := d.lines[element]
		if !ok {
			continue
		}
		other, repeated := first[group]
		switch {
		case strings.TrimSpace(group) == "":
			d.report(line, element, "is an empty name; write a group")
		case strings.TrimSpace(group) != group:
			d.report(line, element, "%q has white space at an end; write %s", group, strings.TrimSpace(group))
		case repeated:
			d.report(line, element, "%q stands twice, first on line %d", group, other)
		default:
			first[group] = line
		}
	}
}
