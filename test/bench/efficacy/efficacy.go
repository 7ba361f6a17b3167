// Package efficacy evaluates the changes behind public reports three times: with the guard, with the released
// authenticator alone, and with a policy of four rules in Rego. It makes the page docs/efficacy.md from the results.
package efficacy

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/bench/rego"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// Row is a report with the three evaluations of its change. If the report has no case, the evaluations are empty.
type Row struct {
	Report
	Guard         validate.Verdict
	Authenticator Consequence
	Rego          []rego.Denial
}

// Rows evaluates every report. root is the folder of the repository.
func Rows(ctx context.Context, root string) ([]Row, error) {
	reports, err := Reports(root)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(reports))
	for i, r := range reports {
		rows[i].Report = r
		if r.Case == nil {
			continue
		}
		if err := rows[i].evaluate(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Case.File, err)
		}
	}
	return rows, nil
}

func (r *Row) evaluate(ctx context.Context) error {
	change, policy := r.Case.Change, r.Case.Policy
	r.Guard = validate.Evaluate(change, policy)
	backend, err := authenticator.New()
	if err != nil {
		return err
	}
	defer backend.Close()
	if r.Authenticator, err = (&bare{backend, change}).consequence(); err != nil {
		return err
	}
	engine, err := rego.New(ctx, policy.Protected)
	if err != nil {
		return err
	}
	if change.Operation == validate.Document {
		change.Operation = validate.Create // the policy in Rego evaluates requests
	}
	request := rego.Request{Operation: string(change.Operation), Username: change.Requester.Username}
	if request.Object, err = toJSON(r.Case.Manifest(false)); err != nil {
		return err
	}
	if request.OldObject, err = toJSON(r.Case.Manifest(true)); err != nil {
		return err
	}
	r.Rego, err = engine.Deny(ctx, request)
	return err
}

// toJSON returns a manifest as JSON, the form in which the API server sends it. It returns nil if there is no
// manifest.
func toJSON(manifest []byte) ([]byte, error) {
	if manifest == nil {
		return nil, nil
	}
	return yaml.YAMLToJSON(manifest)
}

// Check returns an error if the guard's verdict on the report is wrong. If a webhook can see the fault, the rule of the case
// must find the fault. In a harmless change, and in a case whose fault a webhook can't see, the guard must find no fault.
func (r *Row) Check() error {
	switch {
	case r.Catchable() && !slices.Contains(r.Guard.Rules(), r.Rule):
		return fmt.Errorf("the guard misses the fault: %s is not among its findings %v", r.Rule, r.Guard.Rules())
	case r.Case != nil && !r.Catchable() && r.Guard.Action != validate.ActionAllow:
		return fmt.Errorf("the guard must allow the change without a finding, but finds %v", r.Guard.Rules())
	}
	return nil
}

// Totals has the numbers of the table at the beginning of the page.
type Totals struct {
	Catchable, Denied, Warned int // reports that a webhook can catch, and how many of them the guard denies and warns of
	RegoDenied, Logged        int // of the catchable reports: how many the policy in Rego denies, and how many the authenticator logs
	Harmless                  int
	FalseAlarms, RegoFalse    int // of the harmless reports: in how many the guard, and the policy in Rego, find a fault
	Unseen                    int // reports of faults that a webhook can't see
}

func total(rows []Row) Totals {
	var t Totals
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Harmless:
			t.Harmless++
			t.FalseAlarms += count(r.Guard.Action != validate.ActionAllow)
			t.RegoFalse += count(len(r.Rego) > 0)
		case !r.Catchable():
			t.Unseen++
		default:
			t.Catchable++
			t.Denied += count(r.Guard.Action == validate.ActionDeny)
			t.Warned += count(r.Guard.Action == validate.ActionWarn)
			t.RegoDenied += count(len(r.Rego) > 0)
			t.Logged += count(r.Authenticator.Logged)
		}
	}
	return t
}

func count(holds bool) int {
	if holds {
		return 1
	}
	return 0
}
