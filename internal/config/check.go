package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// check reports values that have the right type but can't be correct. It skips fields for which the decoder has reported
// a problem.
func (d *decoder) check(c *Config) {
	d.checkKind(c.APIVersion, c.Kind)
	for i, p := range c.Protected {
		path := fmt.Sprintf("protected[%d]", i)
		if d.checkProtected(path+".arn", p.ARN) {
			d.checkRepeated(c.Protected, i)
		}
		if line, ok := d.lines[path]; ok && p.Groups == nil && !p.Admin {
			d.report(line, path+".groups", "is missing; write the groups that the principal must keep, or admin: true")
		}
		d.checkGroups(path+".groups", p.Groups)
	}
	d.checkGroups("adminGroups", c.AdminGroups)
	d.checkARNs("accessEntries", c.AccessEntries, "which access entries don't support")
	d.checkRules(c.Rules)
	d.checkGroups("overrides.groups", c.Overrides.Groups)
	d.checkOverrides(c.Overrides.Groups)
	d.checkARNs("overrides.principals", c.Overrides.Principals, "which a later session doesn't have")
	d.checkIAM(&c.IAM)
	d.checkEKS(&c.EKS)
	d.checkNumber("history.versions", c.History.Versions, maxVersions)
	d.checkNumber("restore.maxPerHour", c.Restore.MaxPerHour, maxMaxPerHour)
	if line, ok := d.lines["restore.enabled"]; ok && c.Restore.Enabled && c.Mode == validate.WarnMode {
		d.report(line, "restore.enabled", "is true, but a restore needs mode enforce; write false, or set mode: enforce")
	}
}

// checkKind reports an apiVersion or kind that is not the one that the file must have.
func (d *decoder) checkKind(apiVersion, kind string) {
	if line, ok := d.lines["apiVersion"]; ok && apiVersion != APIVersion {
		d.report(line, "apiVersion", "is %q; write %s", apiVersion, APIVersion)
	}
	if line, ok := d.lines["kind"]; ok && kind != d.kind {
		d.report(line, "kind", "is %q; write %s", kind, d.kind)
	}
}

// checkNumber reports a number that is not from 1 to most.
func (d *decoder) checkNumber(path string, number, most int) {
	if line, ok := d.lines[path]; ok && (number < 1 || number > most) {
		d.report(line, path, "is %d; write a number from 1 to %d", number, most)
	}
}

// checkIAM reports an iam.budget out of range, a key of iam.accounts that is not an account id, and a roleARN that is
// not a role of its account.
func (d *decoder) checkIAM(c *IAM) {
	if line, ok := d.lines["iam.budget"]; ok && (c.Budget <= 0 || c.Budget > maxBudget) {
		d.report(line, "iam.budget", "is %s; write more than 0s and at most %s", c.Budget, maxBudget)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Accounts)) {
		path := join("iam.accounts", printableKey(id))
		if !awsauth.IsAccountID(id) {
			d.report(d.lines[keyPath("iam.accounts", id)], path, "is not an account id; write 12 digits in quotes")
			continue
		}
		d.checkRole(path+".roleARN", c.Accounts[id].RoleARN, id)
	}
}

// checkRole reports an ARN that is not a role of an account.
func (d *decoder) checkRole(path, text, account string) {
	arn, ok := d.checkARN(path, text, "which can't be assumed")
	switch line := d.lines[path]; {
	case !ok:
	case !arn.IsRole():
		d.report(line, path, "%q is not a role; write the ARN of the role to assume", arn)
	case arn.Account != account:
		d.report(line, path, "%q belongs to another account; write a role of %s", arn, account)
	}
}

// checkRules reports an id that no rule of the webhook has, and a severity that the rule can't have.
func (d *decoder) checkRules(rules map[string]validate.Severity) {
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		rule, err := Rule(id)
		switch line := d.lines[keyPath("rules", id)]; {
		case err != nil:
			d.report(line, join("rules", printableKey(id)), "%s", unknownRule(id))
		case rule.NeverDenies && rules[id] == validate.Deny:
			d.report(line, join("rules", id), "is %q, but this rule never refuses; write %s", rules[id], oneOf(Severities(rule)))
		}
	}
}

var (
	// clusterName matches the empty string and the names of EKS clusters (EKS API reference, CreateCluster).
	clusterName = regexp.MustCompile(`^([0-9A-Za-z][0-9A-Za-z_-]{0,99})?$`)
	// regionName matches the empty string and the names of AWS regions, such as eu-west-1 and us-gov-east-1.
	regionName = regexp.MustCompile(`^([a-z]{2,4}(-[a-z]{2,12}){1,3}-\d{1,2})?$`)
)

// checkEKS reports a missing eks.cluster, an eks.cluster or eks.region that can't be a name, and an eks.refresh out of
// range.
func (d *decoder) checkEKS(c *EKS) {
	if line, ok := d.lines["eks.enabled"]; ok && c.Enabled && c.Cluster == "" {
		d.report(line, "eks.enabled", "is true without the name of the cluster; write it as eks.cluster")
	}
	if line, ok := d.lines["eks.cluster"]; ok && !clusterName.MatchString(c.Cluster) {
		d.report(line, "eks.cluster", "%q is not the name of an EKS cluster; write the name that aws eks list-clusters shows", c.Cluster)
	}
	if line, ok := d.lines["eks.region"]; ok && !regionName.MatchString(c.Region) {
		d.report(line, "eks.region", "%q is not a region; write one such as eu-west-1", c.Region)
	}
	if line, ok := d.lines["eks.refresh"]; ok && (c.Refresh < minRefresh || c.Refresh > maxRefresh) {
		d.report(line, "eks.refresh", "is %s; write a time from %s to %s", c.Refresh, minRefresh, maxRefresh)
	}
}

// checkARNs reports the faults of checkARN in each element of a list, and also STS federated users and duplicates.
// session is as in checkARN.
func (d *decoder) checkARNs(list string, arns []string, session string) {
	first := map[string]int{}
	for i, text := range arns {
		path := fmt.Sprintf("%s[%d]", list, i)
		arn, ok := d.checkARN(path, text, session)
		if !ok {
			continue
		}
		line := d.lines[path]
		if arn.Service == "sts" {
			d.report(line, path, "%q is the ARN of an STS session, %s; write the ARN of the IAM user behind it", text, session)
			continue
		}
		key := awsauth.PrincipalKey(text)
		if other, repeated := first[key]; repeated {
			d.report(line, path, "%q appears twice, first on line %d", text, other)
			continue
		}
		first[key] = line
	}
}

// checkOverrides reports system:authenticated and system:unauthenticated, which together contain every user, and the groups of
// service accounts (kubernetes v1.36.3, apiserver/pkg/authentication/serviceaccount/util.go). Only a few chosen people should be
// able to use break-glass.
func (d *decoder) checkOverrides(groups []string) {
	for i, group := range groups {
		path := fmt.Sprintf("overrides.groups[%d]", i)
		line, ok := d.lines[path]
		switch {
		case !ok:
		case group == "system:serviceaccounts" || strings.HasPrefix(group, "system:serviceaccounts:"):
			d.report(line, path, "%q contains service accounts, which can't override the guard; write a group of people", group)
		case group == "system:authenticated" || group == "system:unauthenticated":
			d.report(line, path, "%q is too wide; write a group of only the people who may override the guard", group)
		}
	}
}

// checkProtected reports the ARN of a protected principal that no entry of aws-auth can match. It returns false if the ARN has
// a fault.
func (d *decoder) checkProtected(path, text string) bool {
	arn, ok := d.checkARN(path, text, "which no entry matches")
	if !ok {
		return false
	}
	if role, ok := arn.WithoutPath(); ok {
		d.report(d.lines[path], path, "%q has a path, but the ARN of a caller has none; write %s", text, role)
		return false
	}
	return true
}

// checkARN parses an ARN and reports these faults: a text that is not an ARN, the ARN of a role's session, and an ARN
// that AWS writes in another form. ok is false if the ARN has a fault, or if the decoder has reported one. session is a part of
// the message about a session's ARN. It says why such an ARN is wrong in this field.
func (d *decoder) checkARN(path, text, session string) (arn awsauth.ARN, ok bool) {
	line, ok := d.lines[path]
	if !ok {
		return awsauth.ARN{}, false
	}
	arn, err := awsauth.ParseARN(text)
	if err != nil {
		e := awsauth.AsARNError(err)
		d.report(line, path, "%q %s; %s", text, e.Problem, e.Hint)
		return awsauth.ARN{}, false
	}
	if role, ok := arn.SessionRole(); ok {
		d.report(line, path, "%q is the ARN of an STS session, %s; write %s", text, session, role)
		return awsauth.ARN{}, false
	}
	if text != arn.String() {
		d.report(line, path, "%q is not written as AWS writes it; write %s", text, arn)
		return awsauth.ARN{}, false
	}
	return arn, true
}

// checkRepeated reports the ARN of list[i] if an earlier element has the same ARN.
func (d *decoder) checkRepeated(list []Protected, i int) {
	path := fmt.Sprintf("protected[%d].arn", i)
	for j, other := range list[:i] {
		if awsauth.PrincipalKey(other.ARN) == awsauth.PrincipalKey(list[i].ARN) {
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
			d.report(line, element, "%q starts or ends with white space; write %s", group, strings.TrimSpace(group))
		case repeated:
			d.report(line, element, "%q appears twice, first on line %d", group, other)
		default:
			first[group] = line
		}
	}
}
