package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// The kinds of principals that a user can name.
const (
	kindRole    = "role"
	kindUser    = "user"
	kindAccount = "account"
)

// errNoPrincipal means that the argument for the principal is empty, for example because a script used a variable that is not set.
var errNoPrincipal = errors.New("the PRINCIPAL is empty; give an ARN, or a name with --account")

// nameOptions are the flags from which parse makes the ARN of a principal if the user gave only its name.
type nameOptions struct{ account, partition string }

func (o *nameOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.account, "account", "", "`ID` of the AWS account, if you give a name and not an ARN")
	cmd.Flags().StringVar(&o.partition, "partition", "aws", "`PARTITION` of the AWS account, such as aws-cn, if you give a name")
	completeFlag(cmd, "account")
	completeFlag(cmd, "partition", awsauth.Partitions()...)
}

// principal is the principal that a user named on the command line, in the form that aws-auth needs.
type principal struct {
	awsauth.ARN // zero for an account

	id       string // the id of an account; empty for a role or user
	withPath string // the ARN of a role with its path, which an access entry needs; empty if the user gave no path
	anyPath  bool   // the user gave only the name of an IAM user, and the path of this IAM user is not known
	note     string // how the ARN or id differs from the text that the user wrote; empty if they are equal
}

// String returns the ARN, or the id of the account.
func (p principal) String() string {
	if p.id != "" {
		return p.id
	}
	return p.ARN.String()
}

// key returns the key of the principal. See [access.CallerKey].
func (p principal) key() string { return access.CallerKey(p.String()) }

// has reports whether the ARN of an entry names the principal. For a role it also accepts the ARN with the path and the ARN of a session,
// although such an entry matches no caller. For an IAM user whose path is not known it accepts every path.
func (p principal) has(arn string) bool {
	if p.anyPath {
		other, err := awsauth.ParseARN(arn)
		return err == nil && other.Account == p.Account && other.Partition == p.Partition && strings.HasPrefix(other.Resource, "user/") && strings.EqualFold(other.Name(), p.Name())
	}
	return access.CallerKey(arn) == p.key()
}

// kind returns the kind of the principal.
func (p principal) kind() string {
	switch {
	case p.id != "":
		return kindAccount
	case p.IsRole():
		return kindRole
	}
	return kindUser
}

// section returns the section of aws-auth for new entries of the principal.
func (p principal) section() awsauth.Section {
	return map[string]awsauth.Section{kindRole: awsauth.MapRoles, kindUser: awsauth.MapUsers, kindAccount: awsauth.MapAccounts}[p.kind()]
}

// checkName returns an error if the user gave only the name of an IAM user, and entries name several IAM users with this name. These IAM
// users differ in their path, and IAM has at most one of them. The entries don't show which one.
func (p principal) checkName(m *awsauth.Map) error {
	if !p.anyPath {
		return nil
	}
	var arns []string
	keys := make(map[string]bool)
	for _, e := range entriesOf(m, p.has) {
		if key := access.CallerKey(e.ARN); !keys[key] {
			keys[key] = true
			arns = append(arns, e.ARN)
		}
	}
	if len(arns) > 1 {
		return fmt.Errorf("entries of several users have the name %s: %s; give the ARN of the user", p.Name(), strings.Join(arns, ", "))
	}
	return nil
}

// parse reads a principal of a kind from a text. The text can be the ARN of a role with or without its path, the ARN of a session as aws
// sts get-caller-identity prints it, the ARN of a user, an account or, with --account, a name. parse returns an error if the principal is
// of another kind.
func (o *nameOptions) parse(kind, text string) (principal, error) {
	given := strings.TrimSpace(text)
	if given == "" {
		return principal{}, errNoPrincipal
	}
	if kind == kindAccount {
		return parseAccount(given)
	}
	if inner, ok := awsauth.NestedARN(given); ok {
		given = inner
	}
	bare := !strings.Contains(given, ":")
	if bare {
		if o.account == "" {
			return principal{}, fmt.Errorf("%q is not an ARN; add --account ID to give the name of a %s, or write the ARN that aws sts get-caller-identity prints", text, kind)
		}
		if !awsauth.IsAccountID(o.account) {
			return principal{}, fmt.Errorf("--account %q is not an account id of 12 digits", o.account)
		}
		if !slices.Contains(awsauth.Partitions(), o.partition) {
			return principal{}, fmt.Errorf("--partition %q is not a partition: must be %s", o.partition, strings.Join(awsauth.Partitions(), ", "))
		}
		given = "arn:" + o.partition + ":iam::" + o.account + ":" + kind + "/" + strings.TrimPrefix(strings.TrimPrefix(given, "/"), kind+"/")
	}
	arn, err := awsauth.ParseARN(given)
	if err != nil {
		bad := awsauth.AsARNError(err)
		if bad.Hint != "" {
			return principal{}, fmt.Errorf("%w; %s", err, bad.Hint)
		}
		return principal{}, err
	}
	if !bare && o.account != "" && o.account != arn.Account {
		return principal{}, fmt.Errorf("--account %s differs from the account of %q; leave out --account", o.account, text)
	}
	p := principal{ARN: arn, anyPath: bare && strings.Count(arn.Resource, "/") == 1 && kind == kindUser}
	var reason string
	if role, ok := arn.SessionRole(); ok {
		p.ARN, reason = role, "an entry needs the ARN of the role, and the given ARN is that of a session"
	} else if role, ok := arn.WithoutPath(); ok {
		p.ARN, p.withPath, reason = role, arn.String(), "an entry needs the ARN without the path, because AWS omits the path when a caller logs in"
	}
	switch {
	case p.kind() != kind:
		return principal{}, fmt.Errorf("%q is the ARN of a %s, not of a %s; name it as: %s %s", text, p.kind(), kind, p.kind(), p)
	case p.String() != strings.TrimSpace(text) && reason != "":
		p.note = fmt.Sprintf("the entry has %s: %s", p, reason)
	case p.String() != strings.TrimSpace(text):
		p.note = fmt.Sprintf("the entry has %s", p)
	}
	return p, nil
}

// parseAccount reads an account from its id, with or without dashes, or from an ARN.
func parseAccount(text string) (principal, error) {
	id := strings.ReplaceAll(text, "-", "")
	if arn := awsauth.AccountOf(text); arn != "" {
		id = arn
	}
	if !awsauth.IsAccountID(id) {
		return principal{}, fmt.Errorf("%q is not an account id of 12 digits", text)
	}
	p := principal{id: id}
	if id != text {
		p.note = "the entry has the account " + id
	}
	return p, nil
}

// parseAny returns the principals that a text can mean. A name without an ARN can be that of a role or of a user, so there may be several.
// For a text that can't be a principal, such as a malformed ARN, parseAny returns none. An entry of aws-auth may still have this text.
func (o *nameOptions) parseAny(text string) []principal {
	var list []principal
	for _, kind := range []string{kindRole, kindUser, kindAccount} {
		if kind == kindAccount && strings.HasPrefix(strings.TrimSpace(text), "arn:") {
			continue // the ARN names one principal, not all of its account
		}
		if p, err := o.parse(kind, text); err == nil {
			list = append(list, p)
		}
	}
	return list
}
