package doctor

import (
	"fmt"
	"path/filepath"
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

// updateKubeconfig returns the command that writes the context anew, with the same profile and without a role. For a context that is not
// one of EKS it returns the command that shows the context without its secrets.
func (d *diagnosis) updateKubeconfig() string {
	if !d.isEKS() {
		return "kubectl config view --minify"
	}
	return d.updateKubeconfigWith(d.plugin.profile, "")
}

// isEKS reports whether the context may belong to an EKS cluster.
func (d *diagnosis) isEKS() bool {
	if d.config == nil || d.ClusterName != "" || d.token != nil || strings.Contains(d.config.Host, ".eks.") {
		return true
	}
	return d.plugin.config != nil && slices.Contains([]string{programCLI, programAuthenticator}, filepath.Base(d.plugin.config.Command))
}

// The programs that make tokens of EKS.
const (
	programCLI           = "aws"
	programAuthenticator = "aws-iam-authenticator"
)

// findPlugin returns the command for a user whose plugin is not found.
func (d *diagnosis) findPlugin() string {
	switch filepath.Base(d.plugin.config.Command) {
	case programCLI:
		return "aws --version || echo 'install the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'"
	case programAuthenticator: // the AWS CLI makes the same tokens
		return d.updateKubeconfig()
	}
	return "command -v " + quote(d.plugin.config.Command)
}

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

// principalWithPath returns the ARN of the principal with its path, as EKS needs it, quoted for a shell. If doctor can't read IAM, the
// text is a command substitution that asks IAM for the path of a role when the administrator runs it. It ignores an answer from another
// account, because the administrator's account may have another role of this name.
func (d *diagnosis) principalWithPath() string {
	if d.entries.facts.ARN != "" {
		return quote(d.entries.facts.ARN)
	}
	principal := d.principal()
	parsed, err := awsauth.ParseARN(principal)
	owner := d.clusterAccount()
	if err != nil || !parsed.IsRole() || owner != "" && owner != parsed.Account {
		return quote(principal)
	}
	query := fmt.Sprintf("[Role.Arn][?contains(@, ':%s:')] | [0]", parsed.Account)
	return `"$(aws iam get-role --role-name ` + quote(parsed.Name()) + ` --query ` + quote(query) + ` --output text)"`
}

// createEntry returns the command that creates an access entry, which gives the right to view.
func (d *diagnosis) createEntry() string {
	principal := d.principalWithPath()
	return d.create(principal, "") + " && " + d.associateView(principal)
}

// createEntryOf returns the command that creates an access entry instead of an entry of aws-auth: of a type for nodes if the entry is for
// nodes. The type of an access entry can't be changed later.
func (d *diagnosis) createEntryOf(r awsauth.Resolution) string {
	if !slices.Contains(r.Groups, access.NodesGroup) {
		return d.createEntry()
	}
	kind := "EC2_LINUX"
	switch {
	case strings.Contains(r.Username, "{{SessionName}}"):
		kind = "FARGATE_LINUX"
	case slices.Contains(r.Groups, access.WindowsProxyGroup):
		kind = "EC2_WINDOWS"
	}
	return d.create(d.principalWithPath(), " --type "+kind)
}

// replaceEntry returns the command that deletes an access entry and creates it again, with the same type. It gives the right to view only:
// another principal may have got the name of the deleted one.
func (d *diagnosis) replaceEntry(e *access.AccessEntry) string {
	principal := quote(e.PrincipalARN)
	command := "aws eks delete-access-entry" + d.ofCluster() + " --principal-arn " + principal + " && "
	if e.Type != "" && e.Type != typeStandard {
		return command + d.create(principal, " --type "+quote(e.Type))
	}
	return command + d.create(principal, "") + " && " + d.associateView(principal)
}

// typeStandard is the type of access entries for people and tools.
const typeStandard = "STANDARD"

// ofCluster returns the flags for the cluster.
func (d *diagnosis) ofCluster() string { return " --cluster-name " + d.clusterName() + d.withRegion() }

// create returns the command that creates an access entry for a principal. principal is already quoted for a shell. flags is empty or
// begins with a space.
func (d *diagnosis) create(principal, flags string) string {
	return "aws eks create-access-entry" + d.ofCluster() + " --principal-arn " + principal + flags
}

// associateView returns the command that gives an access entry the right to view. It gives no more, because only the administrator
// knows which rights the principal needs. principal is already quoted for a shell. The ARN of the policy is documented only for the
// partition aws; for others the command asks EKS for it.
func (d *diagnosis) associateView(principal string) string {
	policy := "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
	if p := d.report.Principal; p != nil && !strings.HasPrefix(p.ARN, "arn:aws:") {
		policy = `"$(aws eks list-access-policies` + d.withRegion() + ` --query "accessPolicies[?name=='AmazonEKSViewPolicy'].arn" --output text)"`
	}
	return "aws eks associate-access-policy" + d.ofCluster() + " --principal-arn " + principal + " --policy-arn " + policy + " --access-scope type=cluster"
}

// groupsFlag returns the flag for the groups of an access entry.
func groupsFlag(groups []string) string {
	words := []string{" --kubernetes-groups"}
	for _, g := range groups {
		words = append(words, quote(g))
	}
	return strings.Join(words, " ")
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
// cluster. A group whose name begins with system: has other members, such as nodes, so it gets no right.
func (d *diagnosis) bindCommand() string {
	subject := " --user=" + quote(d.report.User.Username)
	for _, group := range d.report.User.Groups {
		if !strings.HasPrefix(group, "system:") {
			subject = " --group=" + quote(group)
			break
		}
	}
	r := d.Request
	if r == nil {
		return "kubectl create clusterrolebinding awsauth-view --clusterrole=view" + subject
	}
	name, resource := "awsauth-"+r.Verb+"-"+r.Resource, r.Resource
	if r.Group != "" {
		resource += "." + r.Group
	}
	flags := " --verb=" + quote(r.Verb) + " --resource=" + quote(resource)
	if r.Name != "" {
		flags += " --resource-name=" + quote(r.Name)
	}
	kind, namespace := "clusterrole", ""
	if r.Namespace != "" {
		kind, namespace = "role", " --namespace="+quote(r.Namespace)
	}
	return fmt.Sprintf("kubectl create %s %s%s%s && kubectl create %sbinding %s%s --%s=%s%s",
		kind, quote(name), namespace, flags, kind, quote(name), namespace, kind, quote(name), subject)
}

// updateEntry returns the command that adds the groups of aws-auth to those of an access entry. EKS refuses groups that begin with
// system:. For these the principal gets the right to view, because only the administrator knows whether it shall be an administrator.
func (d *diagnosis) updateEntry(entry *access.AccessEntry, groups []string) string {
	all := slices.Clone(entry.Groups)
	for _, g := range groups {
		if !strings.HasPrefix(g, "system:") && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	if len(all) == len(entry.Groups) {
		return d.associateView(quote(entry.PrincipalARN))
	}
	return "aws eks update-access-entry" + d.ofCluster() + " --principal-arn " + quote(entry.PrincipalARN) + groupsFlag(all)
}
