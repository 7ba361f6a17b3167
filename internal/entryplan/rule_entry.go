package entryplan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

var entryPrincipal = &Rule{
	ID:       "access-entry-principal",
	Severity: validate.Deny,
	Title:    "an access entry names a principal that EKS refuses",
	Doc: `
An access entry is for an IAM role or an IAM user. EKS refuses the ARN of an STS session, of a federated user, of root
and of a service-linked role, and a text that is not the ARN of a principal. The apply fails, and the principal gets no
access.

Write the ARN of the role behind the session, with the role's path. For root, and for a service-linked role, there is
no access entry: let the person or the tool assume another role.`,
	Source: "EKS user guide, \"Create access entries\"; terraform-aws-modules/terraform-aws-eks#2969",
	check:  checkEntryPrincipal,
}

func checkEntryPrincipal(p *pass) {
	for i := range p.Entries {
		r := &p.Entries[i]
		if !r.made() || !r.After.Principal.known() {
			continue
		}
		text := r.After.Principal.Value
		arn, err := awsauth.ParseARN(text)
		const choose = "write the ARN of an IAM role or user"
		switch role, session := arn.SessionRole(); {
		case err != nil:
			fault := awsauth.AsARNError(err)
			report(p, r, fieldPrincipal, fault.Hint, "EKS refuses the principal, because %q %s", text, fault.Problem)
		case session:
			report(p, r, fieldPrincipal, "write the ARN of the role with its path; without a path it is "+role.String(),
				"EKS refuses %q, because it is an STS session", text)
		case arn.Service == "sts":
			report(p, r, fieldPrincipal, choose, "EKS refuses %q, because it is a federated user", text)
		case arn.Resource == "root":
			report(p, r, fieldPrincipal, choose, "EKS refuses %q, because it is the root user of an account", text)
		case strings.HasPrefix(arn.Resource, "role/aws-service-role/"):
			report(p, r, fieldPrincipal, choose, "EKS refuses %q, because it is a service-linked role", text)
		}
	}
}

var entrySSOPath = &Rule{
	ID:       "access-entry-sso-path",
	Severity: validate.Deny,
	Title:    "an access entry names a role of IAM Identity Center without its path",
	Doc: `
The principal of an access entry is the ARN that IAM shows, with the path. This is the opposite of aws-auth, which needs
a role without its path. All roles of IAM Identity Center have a path. Without it EKS finds no such role, and refuses
the access entry: "The specified principalArn is invalid: invalid principal."

Write the ARN with its path, as aws iam get-role --role-name NAME shows it:
arn:aws:iam::ACCOUNT:role/aws-reserved/sso.amazonaws.com/REGION/AWSReservedSSO_NAME_SUFFIX. In us-east-1 the path has no
region.`,
	Source: "EKS user guide, \"Create access entries\"; terraform-aws-modules/terraform-aws-eks#2969",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if !r.made() || !r.After.Principal.known() {
				continue
			}
			name, ok := ssoWithoutPath(r.After.Principal.Value)
			if ok {
				report(p, r, fieldPrincipal, "write the ARN that aws iam get-role --role-name "+name+" shows",
					"EKS refuses %q, because the path aws-reserved/sso.amazonaws.com/ of the role is missing", r.After.Principal.Value)
			}
		}
	},
}

// ssoWithoutPath returns the name of the role in an ARN. ok reports whether the role belongs to IAM Identity Center and the ARN lacks
// its path.
func ssoWithoutPath(text string) (name string, ok bool) {
	arn, err := awsauth.ParseARN(text)
	if err != nil {
		return "", false
	}
	return arn.Name(), strings.HasPrefix(arn.Resource, "role/AWSReservedSSO_")
}

var entryUsername = &Rule{
	ID:       "access-entry-username",
	Severity: validate.Deny,
	Title:    "an access entry has a username that EKS refuses",
	Doc: `
EKS refuses a username that begins with system:, eks:, aws:, amazon: or iam:. It also refuses the templates
{{SessionName}} and {{SessionNameRaw}} in a username without a colon before them, because a session name could then
complete the name of another user. aws-auth accepts such usernames, so you may have to change them when you migrate.

Choose another username, and change the RBAC bindings that name it. Or leave the username out: EKS then uses the ARN.`,
	Source: "EKS user guide, \"Set a custom username for EKS access entries\"",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if r.After == nil || r.After.isNode() || !r.After.Username.known() || !r.isNew(func(e *Entry) Text { return e.Username }) {
				continue // the rule access-entry-type reports any username of a node type
			}
			name := r.After.Username.Value
			if prefix := access.ReservedPrefix(name); prefix != "" {
				report(p, r, fieldUsername, "choose a username without this prefix, or leave it out", "EKS refuses the username %q, because it begins with %s", name, prefix)
				continue
			}
			for _, template := range []string{"{{SessionName}}", "{{SessionNameRaw}}"} {
				if before, _, ok := strings.Cut(name, template); ok && !strings.Contains(before, ":") {
					report(p, r, fieldUsername, "write a colon before the template, such as "+strings.TrimSuffix(before, "-")+":"+template,
						"EKS refuses the username %q, because no colon is before %s", name, template)
					break
				}
			}
		}
	},
}

// isNew reports whether the plan sets or changes a field of a resource. If a field keeps its value, EKS has already accepted the value.
func (r *Resource[T]) isNew(field func(*T) Text) bool {
	return r.After != nil && (r.made() || field(r.Before) != field(r.After))
}

var entryGroup = &Rule{
	ID:       "access-entry-group",
	Severity: validate.Deny,
	Title:    "an access entry has a group that EKS refuses",
	Doc: `
EKS refuses a group that begins with system:, eks:, aws:, amazon: or iam:, for example: "The kubernetes group name
system:masters is invalid, it cannot start with system:". So an access entry can't give system:masters.

For an admin, leave the group out, and associate the access policy AmazonEKSClusterAdminPolicy for the whole cluster. For
nodes, set the type, such as EC2_LINUX, which gives the groups that nodes need. For other groups, bind the same role to a
group with another name.`,
	Source: "EKS user guide, \"Create access entries\"; terraform-aws-modules/terraform-aws-eks#2915",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if r.After == nil || r.After.isNode() {
				continue // the rule access-entry-type reports any group of a node type
			}
			for n, group := range r.After.Groups {
				prefix := access.ReservedPrefix(group.Value)
				if prefix == "" || !isNewGroup(r, group) {
					continue
				}
				hint := "choose a group without this prefix, and bind it to the same role"
				switch group.Value {
				case access.Masters:
					hint = "leave out the group, and associate the access policy " + access.ClusterAdminPolicy + " for the whole cluster"
				case access.NodesGroup, access.BootstrappersGroup, access.FargateProxyGroup, access.WindowsProxyGroup:
					hint = "leave out the groups of nodes, and set the type of the access entry, such as EC2_LINUX"
				}
				report(p, r, groupField(n), hint, "EKS refuses the group %q, because it begins with %s", group.Value, prefix)
			}
		}
	},
}

// groupField returns the name of the field that holds the group with index n.
func groupField(n int) string { return fmt.Sprintf("groups[%d]", n) }

// isNewGroup reports whether the plan adds a group to an access entry. It returns false if the name of the group is not known yet.
func isNewGroup(r *Resource[Entry], group Text) bool {
	return group.known() && (r.made() || !slices.Contains(r.Before.Groups, group))
}

var entryType = &Rule{
	ID:       "access-entry-type",
	Severity: validate.Deny,
	Title:    "an access entry has a username or groups, and its type takes none",
	Doc: `
Only an access entry of the type STANDARD takes a username and groups. For the other types, such as EC2_LINUX and
FARGATE_LINUX, EKS sets the username and the groups that nodes need, and refuses others.

Leave out the username and the groups. Or leave out the type, if people or tools use the principal.`,
	Source: "EKS user guide, \"Create access entries\"; aws-controllers-k8s/community#2144",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if r.After == nil || !r.After.isNode() {
				continue
			}
			if r.After.Username.known() && r.isNew(func(e *Entry) Text { return e.Username }) {
				report(p, r, fieldUsername, "leave out the username", "EKS refuses the username %q, because the access entry has the type %s", r.After.Username.Value, r.After.Type.Value)
			}
			for n, group := range r.After.Groups {
				if isNewGroup(r, group) {
					report(p, r, groupField(n), "leave out the groups", "EKS refuses the group %q, because the access entry has the type %s", group.Value, r.After.Type.Value)
				}
			}
		}
	},
}

var entryAccount = &Rule{
	ID:       "access-entry-account",
	Severity: validate.Deny,
	Title:    "an access entry for nodes names a role of another account",
	Doc: `
An access entry of the type STANDARD can name a principal of any account. The types for nodes need a role of the
cluster's account, and EKS refuses any other role.

Use the role of the nodes in the cluster's account. Or leave out the type, if people or tools use the principal.`,
	Source: "EKS user guide, \"Create access entries\"; aws-controllers-k8s/community#2144",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if !r.made() || !r.After.isNode() || !r.After.Principal.known() || !r.After.Cluster.known() {
				continue
			}
			arn, err := awsauth.ParseARN(r.After.Principal.Value)
			if home := p.accounts[r.After.Cluster.Value]; err == nil && home != "" && arn.Account != home {
				report(p, r, fieldPrincipal, "write a role of the account "+home, "EKS refuses %q for the type %s, because the cluster is in the account %s",
					r.After.Principal.Value, r.After.Type.Value, home)
			}
		}
	},
}
