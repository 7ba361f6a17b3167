package iam

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const (
	// ssoPath begins the path of every role that IAM Identity Center makes for a permission set; in
	// regions but us-east-1 the region follows (IAM Identity Center user guide, "Referencing
	// permission sets in resource policies, Amazon EKS Cluster config maps, and AWS KMS key policies").
	ssoPath = "/aws-reserved/sso.amazonaws.com/"
	// A list of all is 5 pages: an account has at most 5,000 roles and 5,000 users (IAM quotas). IAM
	// may put less on a page than it is asked for.
	maxPages = 8
	pageSize = 1000
)

// ssoRole matches the name of a permission set's role. The last part changes when the set is taken
// from the account and assigned anew.
var ssoRole = regexp.MustCompile(`(?i)^(AWSReservedSSO_.+_)[0-9a-f]{16}$`)

// sighting is the outcome of one look for a principal.
type sighting struct {
	// When it began, and when IAM had answered: it may have waited for its turn, and been tried again.
	began, ended time.Time

	arn, id string   // of what has this name; empty where IAM says that nothing has
	problem *problem // why it is not known
}

// is reports whether what was found is the principal: roles are compared by account and name, users
// by the whole ARN.
func (s sighting) is(p awsauth.ARN) bool {
	found, err := awsauth.ParseARN(s.arn)
	return err == nil && same(found, p)
}

// same compares as the authenticator does, without case.
func same(a, b awsauth.ARN) bool {
	return awsauth.PrincipalKey(a.String()) == awsauth.PrincipalKey(b.String())
}

// find asks IAM once for what has the principal's name.
func (c *Client) find(ctx context.Context, service *awsiam.Client, p awsauth.ARN) sighting {
	s := sighting{began: c.now()}
	// What folds to ASCII is in ASCII for IAM.
	name := strings.NewReplacer("\u212a", "K", "ſ", "s").Replace(p.Name())
	var err error
	if p.IsRole() {
		s.arn, s.id, err = c.getRole(ctx, service, name)
	} else {
		s.arn, s.id, err = c.getUser(ctx, service, name)
	}
	s.ended = c.now()
	// IAM says it with 404 (API reference, GetRole, Errors); with another status somebody else does.
	if _, ok := errors.AsType[*types.NoSuchEntityException](err); ok && statusOf(err) == http.StatusNotFound {
		return s
	}
	if err != nil {
		s.problem = problemOf(err)
		return s
	}
	found, err := awsauth.ParseARN(s.arn)
	if err != nil || found.Account != p.Account || found.IsRole() != p.IsRole() || !strings.EqualFold(found.Name(), name) {
		s.arn, s.id, s.problem = "", "", &problem{reason: reasonGarbage}
	}
	return s
}

func (c *Client) getRole(ctx context.Context, service *awsiam.Client, name string) (arn, id string, err error) {
	out, err := call(ctx, c, func(ctx context.Context) (*awsiam.GetRoleOutput, error) {
		return service.GetRole(ctx, &awsiam.GetRoleInput{RoleName: &name})
	})
	if err != nil || out.Role == nil {
		return "", "", err
	}
	return deref(out.Role.Arn), deref(out.Role.RoleId), nil
}

func (c *Client) getUser(ctx context.Context, service *awsiam.Client, name string) (arn, id string, err error) {
	out, err := call(ctx, c, func(ctx context.Context) (*awsiam.GetUserOutput, error) {
		return service.GetUser(ctx, &awsiam.GetUserInput{UserName: &name})
	})
	if err != nil || out.User == nil {
		return "", "", err
	}
	return deref(out.User.Arn), deref(out.User.UserId), nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// searchList looks through the account's list, where listing is allowed and done before the second look
// is due. It reports whether the principal is there: AWS does not document that GetRole and GetUser find
// a name that is written in another case, and no two names differ by case alone (IAM API reference,
// CreateRole). Otherwise it returns what is there in its stead. Without a whole list the two looks decide:
// if IAM does tell cases apart, a name in another case is then missing, and the hint says to write it as
// IAM shows it. Unknown instead would be every principal's answer where listing is not allowed.
func (c *Client) searchList(ctx context.Context, self Identity, p awsauth.ARN, first sighting) (there bool, instead string) {
	if first.arn != "" {
		return false, first.arn // a user, under another path
	}
	set := ssoRole.FindStringSubmatch(p.Name())
	var siblings []string
	for _, found := range c.list(ctx, c.service(self, p.Account), p, set != nil) {
		switch {
		case found.IsRole() && set != nil && samePermissionSet(found, set[1]) && !strings.EqualFold(found.Name(), p.Name()):
			plain, _ := found.WithoutPath()
			siblings = append(siblings, plain.String())
		case !strings.EqualFold(found.Name(), p.Name()):
		case same(found, p):
			return true, ""
		default:
			return false, found.String() // a user, in another case and under another path
		}
	}
	if len(siblings) == 1 { // with more nobody knows which is meant
		return false, siblings[0]
	}
	return false, ""
}

func samePermissionSet(role awsauth.ARN, set string) bool {
	found := ssoRole.FindStringSubmatch(role.Name())
	return len(found) > 0 && strings.EqualFold(found[1], set)
}

// list returns what is like p in its account: users, roles, or roles of permission sets.
func (c *Client) list(ctx context.Context, service *awsiam.Client, p awsauth.ARN, sso bool) []awsauth.ARN {
	kind, path, pages := "user", "/", c.users
	if p.IsRole() {
		kind, pages = "role", c.roles
	}
	if sso {
		path = ssoPath
	}
	list, problem := c.lists.do(ctx, kind+" "+p.Account+" "+path, func(ctx context.Context) (list []awsauth.ARN) {
		next := pages(service, path)
		for range maxPages {
			arns, more, err := next(ctx)
			if err != nil {
				break // it is a hint
			}
			for _, text := range arns {
				if arn, err := awsauth.ParseARN(text); err == nil && arn.Account == p.Account {
					list = append(list, arn)
				}
			}
			if !more {
				break
			}
		}
		return list
	})
	if problem != nil && problem.reason != reasonTimeout {
		c.logProblem(ctx, p.Account, problem)
	}
	return list
}

// page returns the next ARNs, and whether there are more.
type page func(context.Context) (arns []string, more bool, err error)

func (c *Client) roles(service *awsiam.Client, path string) page {
	pages := awsiam.NewListRolesPaginator(service, &awsiam.ListRolesInput{PathPrefix: &path, MaxItems: new(int32(pageSize))})
	return func(ctx context.Context) (arns []string, more bool, err error) {
		out, err := call(ctx, c, func(ctx context.Context) (*awsiam.ListRolesOutput, error) { return pages.NextPage(ctx) })
		if err != nil {
			return nil, false, err
		}
		for i := range out.Roles {
			arns = append(arns, deref(out.Roles[i].Arn))
		}
		return arns, pages.HasMorePages(), nil
	}
}

func (c *Client) users(service *awsiam.Client, path string) page {
	pages := awsiam.NewListUsersPaginator(service, &awsiam.ListUsersInput{PathPrefix: &path, MaxItems: new(int32(pageSize))})
	return func(ctx context.Context) (arns []string, more bool, err error) {
		out, err := call(ctx, c, func(ctx context.Context) (*awsiam.ListUsersOutput, error) { return pages.NextPage(ctx) })
		if err != nil {
			return nil, false, err
		}
		for i := range out.Users {
			arns = append(arns, deref(out.Users[i].Arn))
		}
		return arns, pages.HasMorePages(), nil
	}
}
