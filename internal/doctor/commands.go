package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const (
	// checkCommand shows the user that the administrator's command had its effect.
	checkCommand = "kubectl auth whoami"
	editCommand  = "kubectl edit configmap -n kube-system aws-auth"
	// profilesCommand shows the user which other principals there are.
	profilesCommand = "aws configure list-profiles"
)

var plainWord = regexp.MustCompile(`^[\w+=,.@:/-]+$`)

// quote quotes a word for a POSIX shell, if it must be.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// clusterName returns the name of the cluster, or a word that the user replaces.
func (d *diagnosis) clusterName() string {
	if d.ClusterName == "" {
		return "CLUSTER"
	}
	return quote(d.ClusterName)
}

// withRegion returns the flag for the region, or nothing.
func (d *diagnosis) withRegion() string {
	if d.Region == "" {
		return ""
	}
	return " --region " + quote(d.Region)
}

// updateKubeconfig returns the command that writes the context anew, with the same profile and without a role.
func (d *diagnosis) updateKubeconfig() string { return d.updateKubeconfigWith(d.plugin.profile, "") }

// updateKubeconfigWith returns the command that writes the context anew.
func (d *diagnosis) updateKubeconfigWith(profile, role string) string {
	command := "aws eks update-kubeconfig --name " + d.clusterName() + d.withRegion()
	if profile != "" {
		command += " --profile " + quote(profile)
	}
	if role != "" {
		command += " --role-arn " + quote(role)
	}
	return command
}

// principalWithPath returns the principal as EKS needs it, with its path, as a word of a shell. A role of another name may have no path,
// and if IAM can't be read, the administrator's shell asks IAM.
func (d *diagnosis) principalWithPath() string {
	if d.entries.facts.ARN != "" {
		return quote(d.entries.facts.ARN)
	}
	principal := d.principal()
	parsed, err := awsauth.ParseARN(principal)
	if err != nil || !parsed.IsRole() {
		return quote(principal)
	}
	return `"$(aws iam get-role --role-name ` + quote(parsed.Name()) + ` --query Role.Arn --output text)"`
}

// createEntry returns the command that creates an access entry. It gives the right to view, because only the administrator knows
// which rights the principal needs.
func (d *diagnosis) createEntry() string { return d.createEntryFor(d.principalWithPath()) }

func (d *diagnosis) createEntryFor(principal string) string {
	cluster := " --cluster-name " + d.clusterName() + d.withRegion()
	policy := "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
	if p := d.report.Principal; p != nil && !strings.HasPrefix(p.ARN, "arn:aws:") { // the ARN in other partitions is not documented
		policy = `"$(aws eks list-access-policies` + d.withRegion() + ` --query "accessPolicies[?name=='AmazonEKSViewPolicy'].arn" --output text)"`
	}
	return fmt.Sprintf("aws eks create-access-entry%s --principal-arn %s && aws eks associate-access-policy%s --principal-arn %s --policy-arn %s --access-scope type=cluster",
		cluster, principal, cluster, principal, policy)
}

// replaceEntry returns the command that deletes an access entry and creates it again.
func (d *diagnosis) replaceEntry(arn string) string {
	return fmt.Sprintf("aws eks delete-access-entry --cluster-name %s%s --principal-arn %s && %s", d.clusterName(), d.withRegion(), quote(arn), d.createEntryFor(quote(arn)))
}

// awsAuthEntry returns the entry of aws-auth for the principal, as text. It has no group, because only the administrator knows which
// rights the principal needs.
func (d *diagnosis) awsAuthEntry() string {
	principal := d.principal()
	parsed, err := awsauth.ParseARN(principal)
	if err != nil {
		return ""
	}
	section, key, username := awsauth.MapRoles, "rolearn", parsed.Name()+":{{SessionName}}"
	if !parsed.IsRole() {
		section, key, username = awsauth.MapUsers, "userarn", parsed.Name()
	}
	return fmt.Sprintf("# below %s; groups are those whose rights the principal needs\n- %s: %s\n  username: %s\n  groups: []\n", section, key, principal, username)
}

// manifest returns an aws-auth with the entry of the principal.
func (d *diagnosis) manifest() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\ndata:\n")
	section := awsauth.MapRoles
	if strings.Contains(d.principal(), ":user/") {
		section = awsauth.MapUsers
	}
	fmt.Fprintf(&b, "  %s: |\n", section)
	_, element, _ := strings.Cut(d.awsAuthEntry(), "\n")
	for line := range strings.Lines(element) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// logsQuery is the query of CloudWatch Logs Insights for the logins in the last hours (EKS user guide, "Unauthorized or access denied").
const logsQuery = `fields @logStream, @timestamp, @message | sort @timestamp desc | filter @logStream like /authenticator/ | filter @message like "%s" | limit 50`

// authenticatorLogs returns the command that searches the log of the authenticator for the principal.
func (d *diagnosis) authenticatorLogs() string { return d.logsCommand("access denied") }

func (d *diagnosis) logsCommand(text string) string {
	return fmt.Sprintf("aws logs start-query%s --log-group-name /aws/eks/%s/cluster --start-time $(($(date +%%s) - 3600)) --end-time $(date +%%s) --query-string %s",
		d.withRegion(), d.clusterName(), quote(fmt.Sprintf(logsQuery, text)))
}

// awsName returns the name in an ARN.
func awsName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// bindCommand returns the command that gives the user the right to make the refused request or, if the user named none, to view the
// cluster.
func (d *diagnosis) bindCommand() string {
	subject := " --user=" + quote(d.report.User.Username)
	for _, group := range d.report.User.Groups {
		if group != awsauth.AuthenticatedGroup && group != access.Masters {
			subject = " --group=" + quote(group)
			break
		}
	}
	r := d.Request
	if r == nil {
		return "kubectl create clusterrolebinding awsauth-view --clusterrole=view" + subject
	}
	resource, subresource, ok := strings.Cut(r.Resource, "/")
	name := "awsauth-" + r.Verb + "-" + resource
	if r.Group != "" {
		resource += "." + r.Group
	}
	if ok {
		resource += "/" + subresource
	}
	kind, namespace := "clusterrole", ""
	if r.Namespace != "" {
		kind, namespace = "role", " --namespace="+quote(r.Namespace)
	}
	return fmt.Sprintf("kubectl create %s %s%s --verb=%s --resource=%s && kubectl create %sbinding %s%s --%s=%s%s",
		kind, quote(name), namespace, quote(r.Verb), quote(resource), kind, quote(name), namespace, kind, quote(name), subject)
}

// associate returns the command that associates an access policy for the whole cluster.
func (d *diagnosis) associate(principal, policy string) string {
	return fmt.Sprintf("aws eks associate-access-policy --cluster-name %s%s --principal-arn %s --policy-arn arn:aws:eks::aws:cluster-access-policy/%s --access-scope type=cluster",
		d.clusterName(), d.withRegion(), quote(principal), policy)
}

// updateEntry returns the command that gives an access entry the groups of aws-auth. EKS refuses groups that begin with system:, and has
// an access policy instead of system:masters.
func (d *diagnosis) updateEntry(entry *access.AccessEntry, groups []string) string {
	if slices.Contains(groups, access.Masters) {
		return d.associate(entry.PrincipalARN, access.ClusterAdminPolicy)
	}
	var quoted []string
	for _, g := range groups {
		quoted = append(quoted, quote(g))
	}
	return fmt.Sprintf("aws eks update-access-entry --cluster-name %s%s --principal-arn %s --kubernetes-groups %s",
		d.clusterName(), d.withRegion(), quote(entry.PrincipalARN), strings.Join(quoted, " "))
}
