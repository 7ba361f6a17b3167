package migrate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// target is the planned access entry for a principal. It has a problem for each reason why the access entry may give other access than
// aws-auth.
type target struct {
	entry    Entry
	place    string         // the path of from
	from     *awsauth.Entry // the entry of aws-auth
	problems []problem
	unknown  bool // a part of aws-auth can't be evaluated
}

// problem is a reason why a person must decide about a principal, with the options for the decision.
type problem struct {
	reason  string
	options []choice
}

// choice is an option of a problem. option and change are the texts of [Option]. apply changes a copy of the target's access entry into
// the access entry for this option. apply is nil if the plan has no access entry for this option.
type choice struct {
	option, change string
	apply          func(*Entry)
}

func (t *target) problem(reason string, options ...choice) {
	t.problems = append(t.problems, problem{reason, options})
}

// decision combines the problems of the target into one decision. Each option solves one problem. So with several problems no option
// solves all of them, and the options have no access entries.
func (t *target) decision(existing Comparison) Decision {
	d := Decision{PrincipalARN: t.entry.PrincipalARN, Place: t.place, Options: []Option{}, Existing: existing}
	var reasons []string
	for _, p := range t.problems {
		reasons = append(reasons, p.reason)
		for _, c := range p.options {
			o := Option{Option: c.option, Change: c.change}
			if c.apply != nil && len(t.problems) == 1 {
				e := t.entry
				e.Groups, e.Policies = slices.Clone(e.Groups), slices.Clone(e.Policies)
				c.apply(&e)
				o.Entry = &e
			}
			d.Options = append(d.Options, o)
		}
	}
	d.Reason = strings.Join(reasons, "; ")
	return d
}

// target plans the access entry of a principal in aws-auth, and collects its problems.
func (p *planner) target(principal *awsauth.Principal, arn awsauth.ARN) *target {
	e := principal.Matches[0]
	t := &target{place: e.Path(), from: e, entry: Entry{PrincipalARN: ascii(arn.String()), Type: access.TypeStandard, Username: e.Username, Groups: []string{}, Policies: []Policy{}}}
	p.addARN(t, arn)
	if p.partition == "" {
		t.problem("the partition of the cluster is not known, and aws-auth has principals of several partitions",
			choice{option: "name the partition with --partition, or the cluster with --cluster-name", change: "none; principals of other partitions can't log in"})
	}
	for _, other := range principal.Matches[1:] {
		if !e.SameAccess(other) {
			t.problem("the ARNs of "+e.Path()+" and "+other.Path()+" differ only in case, and the authenticator picks one of them at random for each request",
				choice{"create the access entry with the access of " + e.Path(), "the caller always has this access", func(*Entry) {}},
				choice{"create the access entry with the access of " + other.Path(), "the caller always has that access", nil})
			break
		}
	}
	if u := p.Document.Map.Resolve(e.ARN).Unknown; u != "" {
		t.unknown = true
		t.problem("cannot determine the access: "+u, choice{option: "make aws-auth smaller, and plan again", change: "none"})
	}
	if node := nodeUsername(e); node != "" && arn.IsRole() {
		p.addNode(t, arn, node)
		return t
	}
	t.addUsername(arn)
	p.addGroups(t, arn)
	return t
}

// ascii replaces the Kelvin sign by K and the long s by s. The authenticator treats these characters as equal, but IAM accepts only ASCII.
func ascii(arn string) string { return strings.NewReplacer("\u212a", "K", "ſ", "s").Replace(arn) }

const (
	// ssoPrefix is the prefix of the names of all roles that IAM Identity Center creates.
	ssoPrefix = "AWSReservedSSO_"
	// serviceLinkedPrefix begins the name of every service-linked role, and serviceLinkedPath begins its path (IAM user guide, "Create a
	// service-linked role").
	serviceLinkedPrefix = "AWSServiceRoleFor"
	serviceLinkedPath   = ":role/aws-service-role/"
)

// addARN sets the ARN of the access entry, and adds a problem if EKS creates no access entry for this principal. In aws-auth the ARN of a
// role has no path, but EKS needs the path: "The specified principalArn is invalid: invalid principal."
// (terraform-aws-modules/terraform-aws-eks#2969) addARN also adds a problem if the path of a role is unknown, or if IAM has no such
// principal.
func (p *planner) addARN(t *target, arn awsauth.ARN) {
	keep := choice{option: "create no access entry", change: "the principal loses its access in mode API"}
	switch {
	case arn.Resource == "root":
		t.problem("EKS makes no access entry for an account root", keep,
			choice{option: "create an access entry for a role, and use the role in place of the root", change: "callers log in as another principal"})
		return
	case arn.Service == "sts":
		t.problem("EKS makes no access entry for a federated user", keep,
			choice{option: "create an access entry for a role, and use the role in place of the federated user", change: "callers log in as another principal"})
		return
	}
	found, existing := p.found(t.from.ARN), p.existing[awsauth.PrincipalKey(t.from.ARN)]
	switch {
	case found != nil && found.ARN != "":
		t.entry.PrincipalARN = found.ARN
	case found != nil && found.Missing():
		t.missing(*found, keep)
	case existing != nil:
		t.entry.PrincipalARN = existing.PrincipalARN // EKS accepted this ARN
	case arn.IsRole():
		p.addPath(t, arn, found)
	}
	if strings.Contains(t.entry.PrincipalARN, serviceLinkedPath) || arn.IsRole() && strings.HasPrefix(arn.Name(), serviceLinkedPrefix) {
		t.problems = nil // the other problems don't matter
		t.problem("EKS makes no access entry for a service-linked role", keep)
	}
}

// missing adds the problem that IAM has no such principal. One option is to create no access entry, as in keep. If IAM Identity Center has
// replaced the role, another option is an access entry for the new role.
func (t *target) missing(found Found, keep choice) {
	options := []choice{{option: keep.option, change: "none now; a new principal of this name would log in by aws-auth, and not in mode API"}}
	if found.Replacement != "" {
		options = append(options, choice{
			"create an access entry for " + found.Replacement + ", the present role of the permission set", "its callers gain the access",
			func(e *Entry) { e.PrincipalARN = found.Replacement },
		})
	}
	t.problem("IAM has no such principal", options...)
}

// addPath adds the problem that the path of a role is not known. found is the failed lookup in IAM, or nil if there was no lookup.
// Without a lookup, addPath adds no problem if the user asserts that roles have no path (Input.NoRolePaths), unless the role is
// one of IAM Identity Center.
func (p *planner) addPath(t *target, arn awsauth.ARN, found *Found) {
	sso := strings.HasPrefix(arn.Name(), ssoPrefix)
	if found == nil && p.NoRolePaths && !sso {
		return
	}
	reason := "the path of the role is not known, and EKS accepts only the ARN with its path"
	look := choice{option: "plan with --iam, which looks up the ARN", change: "none"}
	if found != nil {
		reason += "; IAM gave no answer: " + found.Unknown
		look.option = "plan with --iam and with credentials that can read the role, or read its ARN in the account " + arn.Account
	}
	options := []choice{look}
	if sso {
		reason += "; a role of IAM Identity Center has the path aws-reserved/sso.amazonaws.com/, outside of us-east-1 with the region behind"
	} else {
		options = append(options, choice{"create the access entry with this ARN", "none if the role has no path; otherwise EKS refuses the ARN", func(*Entry) {}})
	}
	t.problem(reason, options...)
}

// The types of access entries for nodes that a plan can have.
const (
	ec2Linux     = "EC2_LINUX"
	ec2Windows   = "EC2_WINDOWS"
	fargateLinux = "FARGATE_LINUX"
	hybridLinux  = "HYBRID_LINUX"
)

// The usernames that EKS gives to nodes (EKS user guide, "Create access entries").
const (
	instanceUsername = "system:node:" + awsauth.InstanceTemplate
	sessionUsername  = "system:node:" + sessionName
)

// nodeUsername returns the username of an entry in aws-auth if EKS gives nodes the same username. Otherwise it returns "".
func nodeUsername(e *awsauth.Entry) string {
	if e.Username == instanceUsername || e.Username == sessionUsername {
		return e.Username
	}
	return ""
}

// nodeTypes are the types of access entries for nodes, with the username and the groups that EKS gives to such nodes. The groups for
// HYBRID_LINUX come from an entry for aws-auth in the EKS user guide ("Prepare cluster access for hybrid nodes").
var nodeTypes = []struct {
	name, username string
	groups         []string
}{
	{ec2Linux, instanceUsername, []string{access.BootstrappersGroup, access.NodesGroup}},
	{ec2Windows, instanceUsername, []string{access.BootstrappersGroup, access.NodesGroup, access.WindowsProxyGroup}},
	{fargateLinux, sessionUsername, []string{access.BootstrappersGroup, access.NodesGroup, access.FargateProxyGroup}},
	{hybridLinux, sessionUsername, []string{access.BootstrappersGroup, access.NodesGroup}},
}

// addNode sets the type of the access entry for a node role. It adds a problem if no type gives exactly the groups of the entry in
// aws-auth. If only HYBRID_LINUX gives exactly these groups, it also adds a problem: the entry may be an incomplete entry for Fargate,
// which has the same groups.
func (p *planner) addNode(t *target, arn awsauth.ARN, username string) {
	had := withoutAuthenticated(t.from.Groups)
	var options []choice
	for _, kind := range nodeTypes {
		if kind.username != username {
			continue
		}
		gained, lost := without(kind.groups, had), without(had, kind.groups)
		if len(gained)+len(lost) == 0 && kind.name != hybridLinux {
			t.entry.Type = kind.name
			p.checkNodeAccount(t, arn)
			return
		}
		options = append(options, choice{
			"create an access entry of type " + kind.name, describeGroups(gained, lost), func(e *Entry) { e.Type = kind.name },
		})
	}
	options = append(options, choice{option: "correct the groups in aws-auth first, and plan again", change: "none by the move itself"})
	t.problem("the username is that of nodes, and no type of access entry certainly gives the same groups: "+quoted(had), options...)
	p.checkNodeAccount(t, arn)
}

// checkNodeAccount adds a problem if the role is not in the cluster's account, or if this account is not known.
func (p *planner) checkNodeAccount(t *target, arn awsauth.ARN) {
	switch p.account {
	case arn.Account:
	case "":
		t.problem("the account of the cluster is not known, and an access entry for nodes needs a role of this account",
			choice{option: "name the account with --account, or the cluster with --cluster-name", change: "none"})
	default:
		t.problem("the role is in the account "+arn.Account+", and an access entry for nodes needs a role of the cluster's account "+p.account,
			choice{option: "give the nodes a role of the account " + p.account, change: "the nodes log in by the new role"})
	}
}

// describeGroups describes gained and lost groups as a phrase.
func describeGroups(gained, lost []string) string {
	var parts []string
	if len(gained) > 0 {
		parts = append(parts, "gains "+quoted(gained))
	}
	if len(lost) > 0 {
		parts = append(parts, "loses "+quoted(lost))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " and ")
}
