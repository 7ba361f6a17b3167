package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/awscli"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

const (
	// checkCommand is the command with which the user checks whether the administrator's command succeeded.
	checkCommand = "kubectl auth whoami"
	// editCommand is the command with which the administrator edits aws-auth.
	editCommand = "kubectl awsauth edit"
	// profilesCommand is the command that lists the user's AWS profiles, so that the user can choose another principal.
	profilesCommand = "aws configure list-profiles"
)

// quote quotes an argument for a POSIX shell if it has special characters.
func quote(word string) string { return textutil.ShellWord(word) }

// awsCluster returns the cluster for commands of the AWS CLI.
func (d *diagnosis) awsCluster() awscli.Cluster {
	return awscli.Cluster{Name: d.ClusterName, Region: d.Region}
}

// updateKubeconfig returns the command that writes the context again. The new context has the same profile and assumes no role. If the
// context does not belong to an EKS cluster, updateKubeconfig returns the command that prints the context without its secrets.
func (d *diagnosis) updateKubeconfig() string {
	if !d.isEKS() {
		return "kubectl config view --minify"
	}
	return d.updateKubeconfigWith(d.plugin.profile)
}

// isEKS reports whether the context may belong to an EKS cluster. It returns true if there is no context.
func (d *diagnosis) isEKS() bool {
	if d.config == nil || d.ClusterName != "" || d.token != nil || strings.Contains(d.config.Host, ".eks.") {
		return true
	}
	return d.plugin.config != nil && slices.Contains([]string{programCLI, programAuthenticator}, filepath.Base(d.plugin.config.Command))
}

// The programs that create EKS tokens.
const (
	programCLI           = "aws"
	programAuthenticator = "aws-iam-authenticator"
)

// findPlugin returns the command that helps a user whose exec plugin is not installed.
func (d *diagnosis) findPlugin() string {
	switch filepath.Base(d.plugin.config.Command) {
	case programCLI:
		return "aws --version || echo 'install the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'"
	case programAuthenticator: // the AWS CLI creates the same tokens
		return d.updateKubeconfig()
	}
	return "command -v " + quote(d.plugin.config.Command)
}

// updateKubeconfigWith returns the command that writes the context again with this profile. The profile may be empty.
func (d *diagnosis) updateKubeconfigWith(profile string) string {
	command := "aws eks update-kubeconfig --name " + d.awsCluster().Word() + d.awsCluster().RegionFlag()
	if profile != "" {
		command += " --profile " + quote(profile)
	}
	return command
}

// queryCluster returns the command that prints a field of EKS's description of the cluster.
func (d *diagnosis) queryCluster(field string) string {
	return "aws eks describe-cluster --name " + quote(d.ClusterName) + d.awsCluster().RegionFlag() + d.withProfile() + " --query cluster." + field
}

// principalWithPath returns the ARN of the principal with its path, because EKS requires the path. The ARN is quoted for a shell. If doctor
// can't read IAM, the result for a role of the cluster's account is a command substitution, which looks up the role when the administrator
// runs the command. The substitution ignores a role of the same name in another account. For other principals the result is then the ARN as
// STS names it.
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

// createEntry returns the command that creates an access entry for the principal and associates the access policy for viewing.
func (d *diagnosis) createEntry() string {
	principal := d.principalWithPath()
	return d.create(principal, "") + " && " + d.associateView(principal)
}

// createEntryOf returns the command that creates an access entry in place of an entry of aws-auth. r is the resolution of this entry. If
// the entry is for nodes, the access entry has the matching type for nodes, because the type can't be changed later.
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

// replaceEntry returns the command that deletes a stale access entry and creates it again with the same type. The new access entry gives
// at most the right to view, because another person may have created the present principal with the name of the deleted one.
func (d *diagnosis) replaceEntry(e *access.AccessEntry) string {
	principal := quote(e.PrincipalARN)
	command := d.awsCluster().AccessEntry("delete", principal) + " && "
	if e.Type != "" && e.Type != access.TypeStandard {
		return command + d.create(principal, " --type "+quote(e.Type))
	}
	return command + d.create(principal, "") + " && " + d.associateView(principal)
}

// create returns the command that creates an access entry for a principal. principal is already quoted for a shell. flags is empty or
// begins with a space.
func (d *diagnosis) create(principal, flags string) string {
	return d.awsCluster().AccessEntry("create", principal) + flags
}

// associateView returns the command that associates the access policy for viewing with the access entry of a principal. The command gives
// no other rights, because only the administrator knows which rights the principal needs. principal is already quoted for a shell.
func (d *diagnosis) associateView(principal string) string {
	partition := "aws"
	if p := d.report.Principal; p != nil {
		_, rest, _ := strings.Cut(p.ARN, ":")
		partition, _, _ = strings.Cut(rest, ":")
	}
	return d.awsCluster().AssociatePolicy(principal, partition, "AmazonEKSViewPolicy")
}

// addCommand returns the command that gives the principal an entry in aws-auth. It creates aws-auth if the cluster has none. The command has
// the placeholder GROUP, because only the administrator knows which rights the principal needs.
func (d *diagnosis) addCommand() string {
	kind := "role"
	if parsed, err := awsauth.ParseARN(d.principal()); err == nil && !parsed.IsRole() {
		kind = "user"
	}
	return fmt.Sprintf("kubectl awsauth add %s %s --group GROUP", kind, quote(d.principal()))
}

// logsQuery is a query for CloudWatch Logs Insights. It finds the newest messages of the authenticator that contain a text (EKS user
// guide, "Unauthorized or access denied").
const logsQuery = `fields @logStream, @timestamp, @message | sort @timestamp desc | filter @logStream like /authenticator/ | filter @message like "%s" | limit 50`

// authenticatorLogs returns the command that searches the last hour of the authenticator's log for refused logins.
func (d *diagnosis) authenticatorLogs() string { return d.logsCommand("access denied") }

func (d *diagnosis) logsCommand(text string) string {
	return fmt.Sprintf("aws logs start-query%s --log-group-name /aws/eks/%s/cluster --start-time $(($(date +%%s) - 3600)) --end-time $(date +%%s) --query-string %s",
		d.awsCluster().RegionFlag(), d.awsCluster().Word(), quote(fmt.Sprintf(logsQuery, text)))
}

// awsName returns the part of an ARN after the last slash, such as the name of a role.
func awsName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// bindCommand returns the command that gives rights to the user. If the user named a refused request, the command creates a role that
// allows this request, and binds the role. Otherwise it binds the role view.
//
// The command binds the role to the first group of the user that doesn't begin with system:. If there is no such group, it binds the role
// to the username. It never uses a group that begins with system:, because such a group has other members, for example nodes.
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

// updateEntry returns the command that adds groups to an access entry. groups are the groups that aws-auth gives to the principal. The
// command omits groups that begin with system:, because EKS refuses them. If no group is left to add, the command associates the access
// policy for viewing instead, because only the administrator knows whether the principal should be an admin.
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
	return d.awsCluster().AccessEntry("update", quote(entry.PrincipalARN)) + awscli.GroupsFlag(all)
}
