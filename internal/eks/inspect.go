package eks

import (
	"context"
	"errors"
	"sync"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// Inspect reads the cluster like [Client.Read], but continues if a permission is missing. It returns the data that it
// can read:
//
//   - cluster is nil if neither the mode nor the list of access entries can be read, or if DescribeCluster fails for another reason
//     than a missing permission. The mode is empty if it can't be read. Each access entry lists its fields that can't be read.
//   - listed reports whether cluster has all access entries.
//   - errs has an error for each failed action.
func (c *Client) Inspect(ctx context.Context) (cluster *access.Cluster, listed bool, errs []error) {
	mode, err := c.mode(ctx)
	if err != nil {
		if !IsDenied(err) {
			return nil, false, []error{err}
		}
		errs = append(errs, err)
	}
	if mode == access.ModeConfigMap {
		return &access.Cluster{Mode: mode}, true, nil
	}
	arns, err := c.List(ctx)
	if err != nil {
		errs = append(errs, err)
		if mode == "" {
			return nil, false, errs
		}
		return &access.Cluster{Mode: mode}, false, errs
	}
	cluster = &access.Cluster{Mode: mode}
	denied := &denials{byAction: make(map[string]error)}
	cluster.AccessEntries, err = describeAll(ctx, arns, func(ctx context.Context, arn string) (access.AccessEntry, error) {
		return c.inspect(ctx, arn, denied)
	})
	errs = append(errs, denied.errors()...)
	if err != nil {
		cluster.AccessEntries = nil
		return cluster, false, append(errs, err)
	}
	return cluster, true, errs
}

// inspect returns the access entry of a principal with the fields that can be read. If a permission is missing, it adds the error to
// denied and continues.
func (c *Client) inspect(ctx context.Context, arn string, denied *denials) (entry access.AccessEntry, err error) {
	defer func() {
		if v := recover(); v != nil { // a panic in a goroutine would end the process
			err = awsapi.NewPanicError(v)
		}
	}()
	entry, err = c.describeEntry(ctx, arn)
	if denied.add(err) {
		entry, err = access.AccessEntry{PrincipalARN: arn, Unknown: []string{access.FieldUsername, access.FieldGroups, access.FieldNode}}, nil
	} else if err != nil || entry.Type != access.TypeStandard {
		return entry, err
	}
	if entry.Policies, err = c.policies(ctx, arn); denied.add(err) {
		entry.Unknown, err = append(entry.Unknown, access.FieldPolicies), nil
	}
	return entry, err
}

// denials holds one error for each action whose permission is missing.
type denials struct {
	mu       sync.Mutex
	byAction map[string]error
}

// add reports whether err says that a permission is missing. If so, it records err.
func (d *denials) add(err error) bool {
	call, ok := errors.AsType[*CallError](err)
	if !ok || !IsDenied(err) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byAction[call.Action] = err
	return true
}

// errors returns the recorded errors: first that of DescribeAccessEntry and then that of ListAssociatedAccessPolicies.
func (d *denials) errors() (list []error) {
	for _, action := range []string{"DescribeAccessEntry", "ListAssociatedAccessPolicies"} {
		if err := d.byAction[action]; err != nil {
			list = append(list, err)
		}
	}
	return list
}

// IsDenied reports whether an error says that a permission is missing.
func IsDenied(err error) bool {
	call, ok := errors.AsType[*CallError](err)
	return ok && call.Err.Reason == awsapi.ReasonDenied
}
