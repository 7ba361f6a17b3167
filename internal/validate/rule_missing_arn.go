package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var missingARN = &Rule{
	ID:       "missing-arn",
	Severity: Deny,
	Title:    "an entry has no ARN that the authenticator can use",
	Doc: `
In mapRoles the authenticator drops an entry that has neither rolearn nor sso, that has both, or whose sso fields
are invalid. In mapUsers it drops an entry that has no userarn.

Write rolearn in mapRoles and userarn in mapUsers.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/mapper.go, Validate",
	Exact:  true,
	Check:  checkMissingARN,
}

func checkMissingARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped == "" || !m.IsMapping() || hasWrongType(m, m.Entry.ARNKey()) || p.isMisspelt(m, m.Entry.ARNKey()) {
			continue // not-a-mapping, wrong-type and misspelt-key report the others
		}
		if isGroupEntry(m) {
			p.Reportf(m, "map a role that the IAM group may assume: write "+m.Entry.ARNKey()+" and the role's ARN instead of the group",
				"the entry names an IAM group, and IAM groups can't log in, so the authenticator drops it")
			continue
		}
		if p.continuesAbove(m) {
			p.Reportf(m, "write two spaces instead of this dash, so that the keys belong to the element above", "the entry %s, and the authenticator drops it", m.Entry.Dropped)
			p.correctText(m.Entry.Section, m.JoinAbove)
			continue
		}
		p.Reportf(m, arnHint(m), "the entry %s, and the authenticator drops it", m.Entry.Dropped)
		p.correctOtherSection(m)
	}
}

// correctOtherSection adds the correction of an element that has userarn in mapRoles, or rolearn in mapUsers. If the ARN belongs in the other
// section, the correction moves the element there. Otherwise it renames the key.
func (p *Pass) correctOtherSection(m awsauth.Mapping) {
	if !p.corrects || m.Entry.ARN != "" || m.Entry.SSO != nil {
		return
	}
	own, other, role := "rolearn", "userarn", m.Entry.Section == awsauth.MapUsers
	to := awsauth.MapUsers
	if role {
		own, other, to = other, own, awsauth.MapRoles
	}
	for _, key := range m.OtherKeys() {
		arn, err := awsauth.ParseARN(key.Below)
		switch {
		case key.Value != other || m.HasKey(own) || err != nil:
		case arn.IsRole() == role:
			p.correctSection(m, to, key.Below)
		default:
			p.correctKey(key, own)
		}
	}
}

// continuesAbove reports whether an element without an ARN is probably the rest of the entry above it, because the
// author wrote a dash before each key of one entry. Such an element has either username or groups, and the entry above
// lacks this key.
func (p *Pass) continuesAbove(m awsauth.Mapping) bool {
	list := p.Doc.Roles
	if m.Entry.Section == awsauth.MapUsers {
		list = p.Doc.Users
	}
	if m.Entry.ARN != "" || m.Entry.SSO != nil || m.HasKey(m.Entry.ARNKey()) || m.HasKey("username") == m.HasKey("groups") {
		return false
	}
	for i := m.Entry.Index - 1; i >= max(0, m.Entry.Index-2); i-- {
		above := list[i]
		if m.HasKey("username") && above.HasKey("username") || m.HasKey("groups") && above.HasKey("groups") {
			return false
		}
		if above.Entry.ARN != "" {
			return true
		}
	}
	return false
}

// isGroupEntry reports whether an element names an IAM group and no principal.
func isGroupEntry(m awsauth.Mapping) bool {
	return m.Entry.Dropped != "" && m.Entry.ARN == "" && m.Entry.SSO == nil &&
		slices.ContainsFunc(m.OtherKeys(), namesGroup)
}

// namesGroup reports whether a key shows that its element names an IAM group: the key is a name such as grouparn, or
// its value is the ARN of an IAM group.
func namesGroup(key awsauth.Field) bool { return isGroupKey(key.Value) || isIAMGroup(key.Below) }

func isGroupKey(key string) bool { return bare(key) == "grouparn" || bare(key) == "iamgrouparn" }

func arnHint(m awsauth.Mapping) string {
	want := m.Entry.ARNKey()
	switch {
	case m.Entry.ARN != "":
		return "write rolearn alone, without sso"
	case m.Entry.SSO != nil:
		return "write rolearn and the ARN of the role instead of sso"
	case want == "userarn" && m.HasKey("rolearn"):
		return "move the entry to mapRoles, or write userarn instead of rolearn"
	case want == "rolearn" && m.HasKey("userarn"):
		return "move the entry to mapUsers, or write rolearn instead of userarn"
	}
	return "write " + want + " and the ARN"
}

// hasWrongType reports whether the value of a key, or an item of its list, has a wrong type.
func hasWrongType(m awsauth.Mapping, key string) bool {
	for _, w := range m.WrongTypes() {
		if w.IsKey(key) {
			return true
		}
	}
	return false
}
