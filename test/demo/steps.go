package main

import (
	"fmt"
	"strings"
)

const guardConfig = `apiVersion: awsauth-guard.io/v1alpha1
kind: GuardConfig
protected:
  - arn: arn:aws:iam::111122223333:role/Admin
    groups: [system:masters]
eks:
  enabled: true
  cluster: prod
`

const admins = `apiVersion: v1
kind: ConfigMap
metadata:
  name: aws-auth
  namespace: kube-system
data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/Admin
      username: admin
      groups:
        - system:masters
`

const nodes = `    - rolearn: arn:aws:iam::111122223333:role/NodeInstanceRole
      username: system:node:{{EC2PrivateDNSName}}
      groups:
        - system:bootstrappers
        - system:nodes
`

const users = `  mapUsers: |
    - userarn: arn:aws:iam::111122223333:user/alice
      username: alice
      groups:
        - system:masters
`

// step is a request with the expected response.
type step struct {
	title   string
	edit    func(manifest string) string // returns the new aws-auth.yaml; if edit is nil, the step changes no manifest
	kubectl []string
	dryRun  bool     // the request stores nothing
	denied  []string // the rules that deny the request; empty if the guard admits the request
	warned  []string // the rules that warn of the request
}

func steps() []step {
	apply := []string{"apply", "-f", "aws-auth.yaml"}
	asAlice := []string{
		"--as=alice", "--as-group=system:masters",
		"--as-user-extra=canonicalArn=arn:aws:iam::111122223333:user/alice",
	}
	return []step{{
		title:   "An aws-auth with an admin, the nodes and a user",
		edit:    func(string) string { return admins + nodes + users },
		kubectl: apply,
	}, {
		title: "A good edit: the CI system gets access",
		edit: beforeUsers(`    - rolearn: arn:aws:iam::111122223333:role/CI
      username: ci
      groups:
        - deployers
`),
		kubectl: apply,
	}, {
		title:   "A tab in the YAML: the authenticator would lose every role, the nodes included",
		edit:    replace("      username: ci\n", "    \tusername: ci\n"),
		kubectl: apply,
		denied:  []string{"yaml-syntax", "protected-principal", "node-role-removed"},
	}, {
		title: "An SSO role with its path, as the IAM console shows it: it would never match",
		edit: beforeUsers(`    - rolearn: arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Developer_0123456789abcdef
      username: developer:{{SessionName}}
      groups:
        - developers
`),
		kubectl: apply,
		denied:  []string{"role-path"},
	}, {
		title: "A second entry for the admin's role: the later one wins, so the admin would only view",
		edit: beforeUsers(`    - rolearn: arn:aws:iam::111122223333:role/admin
      username: auditor
      groups:
        - viewers
`),
		kubectl: apply,
		denied:  []string{"conflicting-principal", "protected-principal"},
	}, {
		title:   "The node role removed: every node would become NotReady",
		edit:    replace(nodes, ""),
		kubectl: apply,
		denied:  []string{"node-role-removed"},
	}, {
		title:   "The whole map deleted",
		kubectl: []string{"delete", "configmap", "aws-auth", "-n", "kube-system"},
		denied:  []string{"deleted"},
	}, {
		title:   "Alice, who is an admin through aws-auth, about to lock herself out",
		edit:    replace("username: alice\n      groups:\n        - system:masters", "username: alice\n      groups:\n        - developers"),
		kubectl: append(asAlice, apply...),
		denied:  []string{"self-lockout"},
	}, {
		title: "The auditors become admins, but their EKS access entry gives less, and wins: a dry run",
		edit: beforeUsers(`    - rolearn: arn:aws:iam::111122223333:role/Auditor
      username: auditor
      groups:
        - system:masters
`),
		kubectl: append(apply, "--dry-run=server"),
		dryRun:  true,
		warned:  []string{"shadowed-by-access-entry"},
	}}
}

// replace returns an edit that replaces the first occurrence of a text.
func replace(old, replacement string) func(string) string {
	return func(manifest string) string { return strings.Replace(manifest, old, replacement, 1) }
}

// beforeUsers returns an edit that adds an entry to the end of mapRoles.
func beforeUsers(entry string) func(string) string { return replace(users, entry+users) }

// problems returns the differences of the response from the expected one. ok reports whether the request was admitted,
// and changed whether the stored object changed.
func (s step) problems(ok bool, answer string, changed bool) []string {
	var problems []string
	if ok != (len(s.denied) == 0) {
		problems = append(problems, map[bool]string{true: "the request is admitted", false: "the request is refused"}[ok])
	}
	if changed != (ok && !s.dryRun) {
		problems = append(problems, fmt.Sprintf("admitted: %t, stored object changed: %t", ok, changed))
	}
	for _, rule := range append(s.denied, s.warned...) {
		if !strings.Contains(answer, "["+rule+"]") {
			problems = append(problems, "the response does not name the rule "+rule)
		}
	}
	return problems
}
