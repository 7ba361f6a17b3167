// Package rego evaluates changes of aws-auth with a policy of four rules in Rego, as a general policy engine would. The page
// docs/efficacy.md compares the guard with this policy. The policy is awsauth.rego, beside this file.
package rego

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	opa "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

//go:embed awsauth.rego
var source string

// Policy is the compiled policy with the protected principals as its data.
type Policy struct {
	query opa.PreparedEvalQuery
}

// New compiles the policy. protected are the guard's protected principals, so that the policy and the guard have the same
// information.
func New(ctx context.Context, protected []access.Protected) (*Policy, error) {
	list := make([]any, 0, len(protected))
	for _, p := range protected {
		groups := make([]any, 0, len(p.Groups))
		for _, g := range p.Groups {
			groups = append(groups, g)
		}
		list = append(list, map[string]any{"arn": p.ARN, "groups": groups})
	}
	query, err := opa.New(
		opa.Query("data.awsauth.deny"),
		opa.Module("awsauth.rego", source),
		opa.Store(inmem.NewFromObject(map[string]any{"protected": list})),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("compile the policy: %w", err)
	}
	return &Policy{query}, nil
}

// Request has the fields of an AdmissionRequest that the policy reads. Object and OldObject are JSON, or nil.
type Request struct {
	Operation         string
	Username          string
	Object, OldObject []byte
}

// Denial is a reason why the policy refuses a request: the name of one of its rules (parses, admin, shape, duplicates), and a
// message.
type Denial struct{ Rule, Message string }

// Deny returns the sorted reasons why the policy refuses a request, or no reasons if the policy admits it. It decodes the parts
// of the request that a policy engine decodes for every review.
func (p *Policy) Deny(ctx context.Context, r Request) ([]Denial, error) {
	request := map[string]any{"operation": r.Operation, "userInfo": map[string]any{"username": r.Username}}
	for name, raw := range map[string][]byte{"object": r.Object, "oldObject": r.OldObject} {
		if raw == nil {
			continue
		}
		var object any
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		request[name] = object
	}
	results, err := p.query.Eval(ctx, opa.EvalInput(map[string]any{"request": request}))
	if err != nil {
		return nil, fmt.Errorf("evaluate the policy: %w", err)
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, fmt.Errorf("the policy gives %d results, not one", len(results))
	}
	set, ok := results[0].Expressions[0].Value.([]any)
	if !ok {
		return nil, fmt.Errorf("the policy gives %T, not a set", results[0].Expressions[0].Value)
	}
	denials := make([]Denial, 0, len(set))
	for _, element := range set {
		reason, ok := element.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("a denial of the policy is %T, not an object", element)
		}
		denials = append(denials, Denial{fmt.Sprint(reason["rule"]), fmt.Sprint(reason["message"])})
	}
	slices.SortFunc(denials, func(a, b Denial) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return denials, nil
}
