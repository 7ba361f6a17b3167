package migrate_test

import (
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The guard denies the removal of entries from aws-auth before the planned access entries exist, and admits it afterwards.
func TestGuardAdmitsTheRemovalAfterTheMove(t *testing.T) {
	t.Parallel()
	roles := []string{
		role(iam+"role/ops", "ops:{{SessionName}}", "system:masters", "breakglass"),
		role(iam+"role/nodes", "system:node:{{EC2PrivateDNSName}}", "system:bootstrappers", "system:nodes"),
		role(iam+"role/pods", "system:node:{{SessionName}}", "system:bootstrappers", "system:nodes", "system:node-proxier"),
		role(iam+"role/deploy", "deploy", "deployers"),
	}
	d := document(roles, []string{user(iam+"user/bob", "bob", "viewers")})
	plan := migrate.New(migrate.Input{Document: d, NoRolePaths: true})
	if len(plan.Move) != 5 {
		t.Fatalf("the plan moves %d principals, want 5: %+v", len(plan.Move), plan)
	}
	moved := &access.Cluster{Mode: access.ModeAPIAndConfigMap}
	for _, m := range plan.Move {
		moved.AccessEntries = append(moved.AccessEntries, m.AccessEntry())
	}
	object := func(roles, users string) *awsauth.Object {
		return &awsauth.Object{Data: map[string]string{"mapRoles": roles, "mapUsers": users}}
	}
	list := func(elements ...string) (text string) {
		for _, e := range elements {
			text += "- " + e + "\n"
		}
		return text
	}
	users := list(user(iam+"user/bob", "bob", "viewers"))
	old := object(list(roles...), users)
	for name, test := range map[string]struct {
		changed *awsauth.Object
		mode    access.Mode
		denied  bool // before the move
	}{
		"of the admin":          {changed: object(list(roles[1:]...), users), denied: true},
		"of a node role":        {changed: object(list(roles[0], roles[2], roles[3]), users), denied: true},
		"of all entries":        {changed: object("", ""), denied: true},
		"of all in mode API":    {changed: object("", ""), mode: access.ModeAPI, denied: true},
		"of the whole aws-auth": {denied: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := validate.Change{Operation: validate.Update, Old: old, New: test.changed, Requester: validate.Requester{Username: "admin", Groups: []string{"system:masters"}}}
			if test.changed == nil {
				change.Operation = validate.Delete
			}
			policy := func(c *access.Cluster) validate.Policy {
				return validate.Policy{Mode: validate.Enforce, Protected: []access.Protected{{ARN: iam + "role/ops", Admin: true}, {ARN: iam + "role/nodes", Groups: []string{"system:nodes"}}}, Cluster: c}
			}
			after := &access.Cluster{Mode: moved.Mode, AccessEntries: moved.AccessEntries}
			if test.mode != "" {
				after.Mode = test.mode
			}
			if v := validate.Evaluate(change, policy(after)); v.Action == validate.ActionDeny {
				t.Errorf("after the move the guard denies the removal: %+v", v.Findings)
			}
			if v := validate.Evaluate(change, policy(&access.Cluster{Mode: access.ModeAPIAndConfigMap})); (v.Action == validate.ActionDeny) != test.denied {
				t.Errorf("before the move: %s", v.Action)
			}
		})
	}
}
