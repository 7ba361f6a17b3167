package iam

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const (
	// ssoPath begins the path of every role that IAM Identity Center creates for a permission set. In all regions but us-east-1, the
	// path also has the region (IAM Identity Center user guide, "Referencing permission sets in resource policies, Amazon EKS Cluster
	// config maps, and AWS KMS key policies").
	ssoPath = "/aws-reserved/sso.amazonaws.com/"
	// maxPages limits the number of pages of a list. An account has at most 5,000 roles and 5,000 users (IAM quotas), so a list
	// usually has at most 5 pages of pageSize principals. IAM may return fewer principals on a page than requested.
	maxPages = 8
	pageSize = 1000
)

// ssoRole matches the name of a role that IAM Identity Center creates for a permission set. If an admin removes the permission set from
// the account and assigns it again, the new role has another last part of the name.
var ssoRole = regexp.MustCompile(`(?i)^(AWSReservedSSO_.+_)[0-9a-f]{16}$`)

// getResult is the result of one GetRole or GetUser call.
type getResult struct {
	// began is the time at which the call began to wait for one of the maxCalls slots. ended is the time after the last attempt.
	began, ended time.Time

	arn     string // the ARN of the principal with this name; empty if IAM says that there is no such principal
	facts   access.IAMFacts
	problem *awsapi.Error // why it is unknown whether the principal exists; nil if this is known
}

// matches reports whether the returned principal is p. It compares a role by account and name, and a user by the whole ARN.
func (s getResult) matches(p awsauth.ARN) bool {
	found, err := awsauth.ParseARN(s.arn)
	return err == nil && samePrincipal(found, p)
}

// samePrincipal reports whether the authenticator treats both ARNs as the same principal. It ignores case, as the authenticator does.
func samePrincipal(a, b awsauth.ARN) bool {
	return awsauth.PrincipalKey(a.String()) == awsauth.PrincipalKey(b.String())
}

// get calls GetRole or GetUser once with the principal's name. If AWS returns another principal, the result has a problem.
func (c *Client) get(ctx context.Context, service *awsiam.Client, p awsauth.ARN) getResult {
	s := getResult{began: c.now()}
	// IAM accepts only ASCII names. If case is ignored, the Kelvin sign equals K and the long s equals s, so an ARN
	// with one of them can match a caller.
	name := strings.NewReplacer("\u212a", "K", "ſ", "s").Replace(p.Name())
	var err error
	if p.IsRole() {
		s.arn, s.facts, err = c.getRole(ctx, service, name)
	} else {
		s.arn, s.facts, err = c.getUser(ctx, service, name)
	}
	s.ended = c.now()
	// IAM sends this error with status 404 (API reference, GetRole, Errors). An error with another status is not from IAM.
	if _, ok := errors.AsType[*types.NoSuchEntityException](err); ok && awsapi.StatusOf(err) == http.StatusNotFound {
		return s
	}
	if err != nil {
		s.problem = awsapi.NewError(err)
		return s
	}
	found, err := awsauth.ParseARN(s.arn)
	if err != nil || found.Account != p.Account || found.IsRole() != p.IsRole() || !strings.EqualFold(found.Name(), name) {
		s.arn, s.facts, s.problem = "", access.IAMFacts{}, &awsapi.Error{Reason: awsapi.ReasonInvalidResponse}
	}
	return s
}

func (c *Client) getRole(ctx context.Context, service *awsiam.Client, name string) (arn string, facts access.IAMFacts, err error) {
	out, err := call(ctx, c, func(ctx context.Context) (*awsiam.GetRoleOutput, error) {
		return service.GetRole(ctx, &awsiam.GetRoleInput{RoleName: &name})
	})
	if err != nil || out.Role == nil {
		return "", facts, err
	}
	arn = aws.ToString(out.Role.Arn)
	return arn, access.IAMFacts{ARN: arn, UniqueID: aws.ToString(out.Role.RoleId), Created: aws.ToTime(out.Role.CreateDate)}, nil
}

func (c *Client) getUser(ctx context.Context, service *awsiam.Client, name string) (arn string, facts access.IAMFacts, err error) {
	out, err := call(ctx, c, func(ctx context.Context) (*awsiam.GetUserOutput, error) {
		return service.GetUser(ctx, &awsiam.GetUserInput{UserName: &name})
	})
	if err != nil || out.User == nil {
		return "", facts, err
	}
	arn = aws.ToString(out.User.Arn)
	return arn, access.IAMFacts{ARN: arn, UniqueID: aws.ToString(out.User.UserId), Created: aws.ToTime(out.User.CreateDate)}, nil
}

// searchList looks for a principal in the list of the account's principals, after GetRole or GetUser did not find it.
// first is the result of that call. exists is true if the list has the principal. Otherwise replacement is the ARN that
// replaced the principal, or "" if searchList can't be sure of one.
//
// searchList ignores case, because two names never differ only in case (IAM API reference, CreateRole). AWS does not
// document whether GetRole and GetUser ignore case.
//
// If the list is denied, or ends early without the principal, exists is false, and Client.lookUp decides by a second call
// of GetRole or GetUser. If IAM does not ignore case, a name in another case then counts as Missing. The answer Unknown would be
// worse: a guard without the permission to list would give this answer for every missing principal.
func (c *Client) searchList(ctx context.Context, self Identity, p awsauth.ARN, first getResult) (exists bool, replacement string) {
	if first.arn != "" {
		return false, first.arn // a user with another path
	}
	set := ssoRole.FindStringSubmatch(p.Name())
	var siblings []string
	list := c.list(ctx, c.service(self, p.Account), p, set != nil)
	for _, found := range list.arns {
		switch {
		case found.IsRole() && set != nil && samePermissionSet(found, set[1]) && !strings.EqualFold(found.Name(), p.Name()):
			plain, _ := found.WithoutPath()
			siblings = append(siblings, plain.String())
		case !strings.EqualFold(found.Name(), p.Name()):
		case samePrincipal(found, p):
			return true, ""
		default:
			return false, found.String() // a user in another case and with another path
		}
	}
	if len(siblings) == 1 && list.complete { // several roles would be ambiguous, and the missing pages may have another one
		return false, siblings[0]
	}
	return false, ""
}

func samePermissionSet(role awsauth.ARN, set string) bool {
	found := ssoRole.FindStringSubmatch(role.Name())
	return len(found) > 0 && strings.EqualFold(found[1], set)
}

// principalList is the result of listing the roles or users of an account. If complete is false, arns has only the
// principals of the pages before the first failed call, or of the first maxPages pages.
type principalList struct {
	arns     []awsauth.ARN
	complete bool
}

// list returns the ARNs of the roles of p's account, or those of its users if p is a user. If sso is true, it returns
// only roles of permission sets.
func (c *Client) list(ctx context.Context, service *awsiam.Client, p awsauth.ARN, sso bool) principalList {
	kind, path, pages := "user", "/", c.users
	if p.IsRole() {
		kind, pages = "role", c.roles
	}
	if sso {
		path = ssoPath
	}
	list, problem := c.lists.do(ctx, kind+" "+p.Account+" "+path, func(ctx context.Context) (list principalList) {
		next := pages(service, path)
		for range maxPages {
			arns, more, err := next(ctx)
			if err != nil {
				return list
			}
			for _, text := range arns {
				if arn, err := awsauth.ParseARN(text); err == nil && arn.Account == p.Account {
					list.arns = append(list.arns, arn)
				}
			}
			if !more {
				list.complete = true
				return list
			}
		}
		return list
	})
	if problem != nil && problem.Reason != awsapi.ReasonTimeout {
		c.logProblem(ctx, p.Account, problem)
	}
	return list
}

// page is a function that returns the ARNs on the next page of a list. more reports whether further pages follow.
type page func(context.Context) (arns []string, more bool, err error)

func (c *Client) roles(service *awsiam.Client, path string) page {
	pages := awsiam.NewListRolesPaginator(service, &awsiam.ListRolesInput{PathPrefix: &path, MaxItems: new(int32(pageSize))})
	return func(ctx context.Context) (arns []string, more bool, err error) {
		out, err := call(ctx, c, func(ctx context.Context) (*awsiam.ListRolesOutput, error) { return pages.NextPage(ctx) })
		if err != nil {
			return nil, false, err
		}
		for i := range out.Roles {
			arns = append(arns, aws.ToString(out.Roles[i].Arn))
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
			arns = append(arns, aws.ToString(out.Users[i].Arn))
		}
		return arns, pages.HasMorePages(), nil
	}
}
