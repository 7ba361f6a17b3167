package validate

import (
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var lastAdmin = &Rule{
	ID:       "last-admin",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "the change leaves no entry that gives an admin group",
	Doc: `
Before the change at least one person can log in through aws-auth with an admin group, by default system:masters.
After the change no person can do so. Then only the cluster's creator, a principal with an access entry or AWS
support can repair aws-auth.

If the guard reads the cluster's access entries (eks.enabled), it counts the admins of both sources. A principal is
also an admin if its access entry gives an admin group, or AmazonEKSClusterAdminPolicy for the whole cluster. If a
principal has an access entry, its entry in aws-auth does not count, because EKS uses only the access entry.

If all stored entries belong to one partition or one account, an admin of another partition or account does not
count. A mistyped account id looks like another account, and no principal of another partition can log in to the
cluster. To move admins to another account, add the new entry first, and remove the old one in a second change.

Keep one entry with an admin group, or create an access entry for an administrator first.`,
	Source: "EKS user guide, \"Grant IAM users access to Kubernetes with a ConfigMap\"; containers-roadmap#1209",
	Check:  checkLastAdmin,
}

func checkLastAdmin(p *Pass) {
	before, was := p.admins(p.entries.InForce(p.Old))
	home := homeOf(p.Old)
	after := p.entries.InForce(p.New)
	_, is := p.admins(slices.DeleteFunc(slices.Clone(after), home.isForeign))
	if is >= was || p.hasAdminByAccessEntry(p.Old) {
		return
	}
	if foreign, _ := p.admins(after); is == access.Never && len(foreign) > 0 {
		p.Reportf(p.entryPlace(p.New.MatchesOf(foreign[0])[0]), "correct the ARN, or add the entry in one change and remove the old admin in a later one",
			"%q would be the only admin, and every stored entry is of %s; before the change: %s", foreign[0], home, listed(before))
		return
	}
	how := ""
	if is == access.Sometimes {
		how = " for certain"
	}
	hint := p.lossHint("keep an entry with the group "+p.Policy.adminGroups()[0], "", before...)
	p.Reportf(wholeObject, hint,
		"no principal would have an admin group%s (%s); before the change: %s", how,
		strings.Join(p.Policy.adminGroups(), ", "), listed(before))
}

// home is the partition and the account that all entries of a version have in common. A field is empty if the entries
// have several of them, or if there are no entries.
type home struct{ partition, account string }

// homeOf returns the common partition and account of the entries of a version. The accounts of mapAccounts count, too.
func homeOf(m *awsauth.Map) home {
	partitions, accounts := make(map[string]bool), make(map[string]bool)
	for _, list := range [][]awsauth.Entry{m.Roles, m.Users} {
		for i := range list {
			if arn, err := list[i].Principal(); err == nil && list[i].ARN != "" && list[i].Dropped == "" {
				partitions[arn.Partition], accounts[arn.Account] = true, true
			}
		}
	}
	for _, account := range m.AllowedAccounts() {
		accounts[account] = true
	}
	return home{only(partitions), only(accounts)}
}

// only returns the single element of a set, or "" if it has several or none.
func only(set map[string]bool) string {
	if len(set) != 1 {
		return ""
	}
	return slices.Collect(maps.Keys(set))[0]
}

// isForeign reports whether a principal belongs to another partition or account than the stored entries.
func (h home) isForeign(principal awsauth.Principal) bool {
	arn, err := principal.Matches[0].Principal()
	return err == nil && (h.partition != "" && arn.Partition != h.partition || h.account != "" && arn.Account != h.account)
}

func (h home) String() string {
	switch {
	case h.account == "":
		return "the partition " + h.partition
	case h.partition == "":
		return "the account " + h.account
	}
	return "the partition " + h.partition + " and the account " + h.account
}

// hasAdminByAccessEntry reports whether an access entry makes its principal an admin. The guard doesn't know the rights of
// an access entry that the configuration declares. It assumes that such an access entry gives the same rights as aws-auth
// in version m.
func (p *Pass) hasAdminByAccessEntry(m *awsauth.Map) bool {
	admins, _ := p.admins(p.entries.InForce(m))
	return len(p.entries.Admins(p.Policy.AdminGroups)) > 0 || slices.ContainsFunc(admins, p.hasAccessEntry)
}

// admins is [access.Admins] for the policy's admin groups.
func (p *Pass) admins(principals []awsauth.Principal) (arns []string, most access.Certainty) {
	return access.Admins(principals, p.Policy.AdminGroups)
}

// listed joins the items of a list with commas. It leaves out all items after the third, and writes an ellipsis for
// them.
func listed(arns []string) string {
	const most = 3
	if len(arns) <= most {
		return strings.Join(arns, ", ")
	}
	return strings.Join(arns[:most], ", ") + ", …"
}
