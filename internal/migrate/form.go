package migrate

import (
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Form is a format in which a plan writes its access entries, such as Terraform.
type Form string

// The forms.
const (
	FormScript         Form = "cli"            // a bash script that calls aws eks
	FormTerraform      Form = "terraform"      // resources of the provider hashicorp/aws
	FormCloudFormation Form = "cloudformation" // a template
	FormEksctl         Form = "eksctl"         // a ClusterConfig for eksctl create accessentry -f
	FormACK            Form = "ack"            // manifests for the EKS controller of AWS Controllers for Kubernetes
)

// Forms returns all forms.
func Forms() []Form {
	return []Form{FormScript, FormTerraform, FormCloudFormation, FormEksctl, FormACK}
}

// Destination is the cluster for which a plan writes its access entries.
type Destination struct {
	Cluster string // the name of the cluster; empty if the name is not known
	Region  string // the region of the cluster; empty means the default region of the tool
}

// Write returns the access entries of the plan's moves in a form. An access entry that already exists is only in the Terraform form, with
// an import block.
func (p Plan) Write(form Form, d Destination) ([]byte, error) {
	w := writer{Destination: d, plan: p}
	for _, m := range p.Move {
		if form == FormTerraform || m.Existing == "" {
			w.moves = append(w.moves, m)
		}
	}
	switch form {
	case FormScript:
		return w.script(), nil
	case FormTerraform:
		return w.terraform(), nil
	case FormCloudFormation:
		return w.cloudFormation()
	case FormEksctl:
		return w.eksctl()
	case FormACK:
		return w.ack()
	}
	return nil, fmt.Errorf("there is no form %q", form)
}

// writer writes a form.
type writer struct {
	Destination

	plan  Plan
	moves []Move
}

// header returns the comment at the beginning of the text. The comment says how many principals the text leaves out, and why.
func (w *writer) header() string {
	name := "an EKS cluster"
	if w.Cluster != "" {
		name = "the EKS cluster " + w.Cluster
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Access entries of %s that give the same access as aws-auth, by kubectl awsauth migrate plan.\n", comment(name))
	if n := len(w.plan.Decide); n > 0 {
		fmt.Fprintf(&b, "# Principals that are not included, because a person must decide about them: %d. kubectl awsauth migrate plan lists them.\n", n)
	}
	if n := len(w.plan.Move) - len(w.moves); n > 0 {
		fmt.Fprintf(&b, "# Principals that are not included, because they have their access entry: %d.\n", n)
	}
	return b.String()
}

// comment makes a text safe for a comment line. It replaces each line break and control character with a question mark.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, text)
}

// fields returns the username and the groups that a form writes. EKS accepts a username and groups only for the type STANDARD. For
// another type fields returns none.
func (e Entry) fields() (username string, groups []string) {
	if e.Type != access.TypeStandard {
		return "", nil
	}
	return e.Username, e.Groups
}

// names gives each principal a name that is unique in the output, such as the name of its Terraform resource.
type names struct {
	taken map[string]bool
	// clean replaces the characters that the form does not allow.
	clean func(string) string
	// joint separates a name from the number that makes the name unique.
	joint string
}

// of returns a unique name for an ARN. This is the name of the role or user. If the name is already in use, of appends a number.
func (n *names) of(arn string) string {
	name := arn
	if parsed, err := awsauth.ParseARN(arn); err == nil {
		name = parsed.Name()
	}
	name = n.clean(name)
	unique := name
	for i := 2; n.taken[unique]; i++ {
		unique = fmt.Sprintf("%s%s%d", name, n.joint, i)
	}
	n.taken[unique] = true
	return unique
}

// replaceOthers replaces each character that is not an ASCII letter or digit with by.
func replaceOthers(text, by string) string {
	var b strings.Builder
	for _, r := range text {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteString(by)
		}
	}
	return b.String()
}

// Name returns the name of the access policy, such as AmazonEKSViewPolicy.
func (p Policy) Name() string { return access.AccessPolicy{ARN: p.ARN}.Name() }
