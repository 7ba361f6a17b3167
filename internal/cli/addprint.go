package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/awscli"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// printForms are the tools for which add --print writes the text to paste.
var printForms = []string{"cdk", "eksctl", "helm", "terraform"}

// printEntry returns the text of an entry for another tool. clusterName is the name of the EKS cluster, or empty if it is unknown.
func printEntry(form string, e awsauth.Entry, p principal, clusterName string) (string, error) {
	switch form {
	case "cdk":
		return cdkEntry(e, p), nil
	case "eksctl":
		return eksctlEntry(e, p, clusterName), nil
	case "helm":
		return helmEntry(e, p)
	default:
		return terraformEntry(e, p), nil
	}
}

// terraformEntry returns arguments of the submodule aws-auth of terraform-aws-modules/eks (version 20, modules/aws-auth/variables.tf). It
// escapes ${ and %{, because HCL would evaluate the text after them.
func terraformEntry(e awsauth.Entry, p principal) string {
	quote := func(text string) string {
		return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(text))
	}
	const head = "# in the module \"terraform-aws-modules/eks/aws//modules/aws-auth\"\n"
	if p.id != "" {
		return head + "aws_auth_accounts = [\n  " + quote(p.id) + ",\n]\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%saws_auth_%ss = [\n  {\n    %s  = %s\n    username = %s\n    groups   = [%s]\n  },\n]\n", head, p.kind(),
		e.ARNKey(), quote(e.ARN), quote(e.Username), strings.Join(quotedEach(e.Groups, quote), ", "))
	return b.String()
}

// cdkEntry returns TypeScript for an eks.Cluster of the CDK (aws-cdk-lib.aws_eks, AwsAuth).
func cdkEntry(e awsauth.Entry, p principal) string {
	if p.id != "" {
		return fmt.Sprintf("cluster.awsAuth.addAccount(%q);\n", p.id)
	}
	class, method := "Role.fromRoleArn", "addRoleMapping"
	if !p.IsRole() {
		class, method = "User.fromUserArn", "addUserMapping"
	}
	return fmt.Sprintf("cluster.awsAuth.%s(iam.%s(this, %q, %q), {\n  username: %q,\n  groups: [%s],\n});\n", method, class,
		identifier(p.Name()), e.ARN, e.Username, strings.Join(quotedEach(e.Groups, strconv.Quote), ", "))
}

var notIdentifier = regexp.MustCompile(`[^A-Za-z0-9]+`)

// identifier returns the id of a CDK construct for the name of a principal. The id has letters and digits only.
func identifier(name string) string { return "AwsAuth" + notIdentifier.ReplaceAllString(name, "") }

func quotedEach(texts []string, quote func(string) string) []string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = quote(text)
	}
	return list
}

// eksctlEntry returns the command of eksctl that adds the entry. The command has --no-duplicate-arns, because otherwise eksctl appends a
// second entry for an ARN that already has one (eksctl-io/eksctl#4957).
func eksctlEntry(e awsauth.Entry, p principal, clusterName string) string {
	command := "eksctl create iamidentitymapping --cluster " + awscli.Cluster{Name: clusterName}.Word()
	if p.id != "" {
		return command + " --account " + p.id + "\n"
	}
	words := []string{command, "--no-duplicate-arns --arn", textutil.ShellWord(e.ARN), "--username", textutil.ShellWord(e.Username)}
	for _, g := range e.Groups {
		words = append(words, "--group", textutil.ShellWord(g))
	}
	return strings.Join(words, " ") + "\n"
}

// helmEntry returns the lines of an element for the template of a ConfigMap in a chart. Helm would render the authenticator's templates, such
// as {{SessionName}}. So helmEntry replaces the braces by actions of Helm that print braces.
func helmEntry(e awsauth.Entry, p principal) (string, error) {
	text, err := edit.AddAccount("", p.id)
	if p.id == "" {
		text, err = edit.Add("", e)
	}
	if err != nil {
		return "", fmt.Errorf("writing the entry: %w", err)
	}
	escaped := strings.NewReplacer("{{", "{{ `{{` }}", "}}", "{{ `}}` }}").Replace(text)
	return "# below data." + string(e.Section) + " in the template of the ConfigMap\n" + escaped, nil
}
