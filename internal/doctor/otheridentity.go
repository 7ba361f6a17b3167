package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// otherIdentity returns the cause if the cluster admits another identity of the user, and otherwise nil. It tries these identities:
//
//   - the credentials of the user without the role that the kubeconfig assumes
//   - the profile of the kubeconfig, if an access key in the environment overrides it
//   - the other profiles of the AWS configuration
func (d *diagnosis) otherIdentity(ctx context.Context) *Cause {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p := &d.plugin
	if p.roleARN != "" {
		own, err := callerOf(ctx, d.profile(), d.Region)
		if err == nil && d.admits(own) {
			return &Cause{
				ID: "wrong-role", Step: stepKubeconfig, User: d.updateKubeconfig(),
				Summary: fmt.Sprintf("the kubeconfig assumes the role %s, which the cluster does not admit; it admits your own identity %s", p.roleARN, own),
			}
		}
	}
	if p.profile != "" && d.profile() == "" {
		own, err := callerOf(ctx, p.profile, d.Region)
		if err == nil && d.admits(own) {
			return &Cause{
				ID: "environment-overrides-profile", Step: stepKubeconfig, User: "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN",
				Summary: fmt.Sprintf("the access key in the environment overrides the profile %s of the kubeconfig: you are %s, and the cluster admits %s",
					p.profile, d.report.Principal.ARN, own),
			}
		}
	}
	return d.otherProfile()
}

// profile returns the profile whose credentials the plugin uses. It returns "" if the plugin uses the credentials of the environment. The
// AWS CLI uses a profile on the command line first, then an access key in the environment, and then a profile in a variable.
func (d *diagnosis) profile() string {
	if d.plugin.profileByEnvironment && os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		return ""
	}
	return d.plugin.profile
}

// admits reports whether an access entry or aws-auth certainly admits the caller with this ARN.
func (d *diagnosis) admits(arn string) bool {
	caller := access.NewCaller(arn)
	key := access.CallerKey(arn)
	if slices.ContainsFunc(d.entries.listed, func(other string) bool { return awsauth.PrincipalKey(other) == key }) {
		return true
	}
	if d.awsAuth.object == nil || d.cluster.mode() == access.ModeAPI {
		return false
	}
	r := d.awsAuth.loaded.Resolve(caller.ARN)
	return r.Mapped && r.Unknown == "" && (len(r.Matches) == 0 || r.Matches[0].Admits(caller.Caller))
}

// otherProfile returns the cause if an access entry or aws-auth admits the role of another profile, and otherwise nil. It reads only the
// AWS configuration file, and makes no AWS calls.
func (d *diagnosis) otherProfile() *Cause {
	for _, p := range readProfiles() {
		if p.name == d.plugin.profile || p.name == os.Getenv("AWS_PROFILE") {
			continue
		}
		role := p.role
		if p.permissionSet != "" {
			role = d.permissionSetRole(p.account, p.permissionSet)
		}
		if role != "" && d.admits(role) {
			return &Cause{
				ID: "wrong-profile", Step: stepKubeconfig, User: d.updateKubeconfigWith(p.name),
				Summary: fmt.Sprintf("the cluster does not admit you as %s; it admits %s, the role of your profile %s", d.report.Principal.ARN, role, p.name),
			}
		}
	}
	return nil
}

// permissionSetRole returns the ARN of the role that IAM Identity Center created for a permission set in an account. It searches the
// access entries and aws-auth for such a role. It returns "" if they have none.
func (d *diagnosis) permissionSetRole(account, set string) string {
	prefix := "AWSReservedSSO_" + set + "_"
	is := func(arn string) bool {
		parsed, err := awsauth.ParseARN(arn)
		return err == nil && parsed.Account == account && strings.HasPrefix(parsed.Name(), prefix)
	}
	if i := slices.IndexFunc(d.entries.listed, is); i >= 0 {
		return d.entries.listed[i]
	}
	if d.awsAuth.object == nil {
		return ""
	}
	for _, p := range d.awsAuth.loaded.Principals() {
		if is(p.ARN) {
			return p.ARN
		}
	}
	return ""
}

// profile is a profile of the AWS configuration, with the fields that name its role.
type profile struct {
	name, role             string
	account, permissionSet string // the account and the permission set of IAM Identity Center; empty for other profiles
}

// maxProfiles limits the number of profiles that doctor compares.
const maxProfiles = 1000

var (
	profileSection = regexp.MustCompile(`^\[\s*(?:profile\s+)?"?([^\]"]+?)"?\s*\]`)
	profileField   = regexp.MustCompile(`^(role_arn|sso_account_id|sso_role_name)\s*=\s*(\S+)`)
)

// readProfiles returns the profiles of the AWS configuration file, with their roles. It does not use the SDK's reader, because the SDK
// returns an error for a profile without usable credentials.
func readProfiles() (list []profile) {
	name := os.Getenv("AWS_CONFIG_FILE")
	if name == "" {
		name = config.DefaultSharedConfigFilename()
	}
	file, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() && len(list) < maxProfiles {
		if m := profileSection.FindStringSubmatch(lines.Text()); m != nil {
			list = append(list, profile{name: m[1]})
			continue
		}
		m := profileField.FindStringSubmatch(lines.Text())
		if m == nil || len(list) == 0 {
			continue
		}
		switch last := &list[len(list)-1]; m[1] {
		case "role_arn":
			last.role = m[2]
		case "sso_account_id":
			last.account = m[2]
		default:
			last.permissionSet = m[2]
		}
	}
	return list
}
