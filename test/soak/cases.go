package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// configA and configB are the two valid configurations. With configB, the guard only warns of an entry without a username.
const (
	configCommon = `apiVersion: awsauth-guard.io/v1alpha1
kind: GuardConfig
accessEntries: [` + account + `role/Moved]
overrides:
  groups: [system:masters]
protected:
  - arn: ` + adminARN + `
    groups: [system:masters]
`
	configA = configCommon
	configB = configCommon + "rules: {empty-username: warn}\n"
)

// badConfigs are invalid configurations. Each has a different fault.
var badConfigs = []string{
	"", "\t", "[]", configA + "protekted: []\n", strings.Replace(configA, "GuardConfig", "ConfigMap", 1),
	strings.Replace(configA, adminARN, "Admin", 1), configA[:len(configA)/2],
}

// answer is the expected response to a review. verdict is the value of the audit annotation.
type answer struct {
	verdict string
	rule    string // a rule that the response names; empty if the response must name no rule
}

var (
	allow   = answer{verdict: "allow"}
	skipped = answer{verdict: "skipped"}
)

func denied(rule string) answer { return answer{"deny", rule} }
func warned(rule string) answer { return answer{"warn", rule} }

// reviewCase is a review that the load sends repeatedly.
type reviewCase struct {
	name   string
	weight int // how often the review occurs in the schedule
	body   body
	want   answer
	wantB  answer // the answer with configB; empty if it is the same as want
}

// expected returns the expected answer with a configuration: usesA or usesB.
func (c *reviewCase) expected(config int32) answer {
	if config == usesB && c.wantB != (answer{}) {
		return c.wantB
	}
	return c.want
}

// brokenCase is a request body that isn't a valid review.
type brokenCase struct {
	name   string
	weight int // how often the body occurs in the schedule
	body   []byte
}

// newCases returns the reviews of the mixed load: harmless edits, requests about other ConfigMaps, changes with an override,
// and at least one edit for each rule, with a finding of the rule. Rules that need AWS have no edit.
func newCases() ([]*reviewCase, error) {
	const update = 4 // the weight of an ordinary case
	base := awsAuth(adminEntry+nodeEntry, aliceEntry)
	hundredTeams := teams(100)
	edited := func(mapRoles string) *object { return awsAuth(mapRoles, aliceEntry) }
	var cases []*reviewCase
	add := func(name string, weight int, want answer, user authenticationv1.UserInfo, before, after *object) {
		cases = append(cases, &reviewCase{name: name, weight: weight, body: newBody(user, before, after), want: want})
	}
	refuse := func(rule string, before, after *object) {
		add("refused: "+rule, update, denied(rule), operator, before, after)
	}

	add("an entry added", 40, allow, operator, base, edited(adminEntry+nodeEntry+ciEntry))
	add("an entry added among 100", 30, allow, operator, edited(adminEntry+nodeEntry+hundredTeams), edited(adminEntry+nodeEntry+hundredTeams+ciEntry))
	add("an entry removed", update, allow, operator, edited(adminEntry+nodeEntry+ciEntry), base)
	add("created", update, warned("protected-principal"), operator, nil, awsAuth(nodeEntry, ""))
	add("data unchanged", 20, allow, operator, base, base)
	add("data unchanged, 1000 entries", 2, allow, operator, edited(adminEntry+nodeEntry+teams(1000)), edited(adminEntry+nodeEntry+teams(1000)))
	add("an annotation added", update, allow, operator, base, base.annotated("note", "kept by the platform team"))
	add("a pre-existing finding", update, warned("role-path"), operator, edited(adminEntry+nodeEntry+pathEntry), edited(adminEntry+nodeEntry+pathEntry+ciEntry))
	add("EKS removes a node role", update, warned("node-role-removed"), eks, base, edited(adminEntry))
	add("an entry removed, the principal has an access entry", update, allow, operator, edited(adminEntry+nodeEntry+movedEntry), base)
	add("an empty aws-auth deleted", update, allow, operator, awsAuth("[]", ""), nil)
	add("another name", update, skipped, operator, renamed(base, "aws-auth-backup", ""), renamed(awsAuth("[", ""), "aws-auth-backup", ""))
	add("another namespace", update, skipped, operator, renamed(base, "", "default"), renamed(awsAuth("[", ""), "", "default"))
	add("override allow-removal", update, warned(""), operator, base, edited(adminEntry).annotated(validate.AllowRemovalAnnotation, nodeARN))
	add("override break-glass", update, warned("node-role-removed"), master, base, edited(adminEntry).annotated(validate.BreakGlassAnnotation, "incident 4711"))
	add("an entry added among 1000", 1, allow, operator, edited(adminEntry+nodeEntry+teams(1000)), edited(adminEntry+nodeEntry+teams(1000)+ciEntry))

	for _, r := range refusals(base, edited) {
		refuse(r.rule, r.before, r.after)
	}
	for _, r := range warnings(base, edited) {
		add("warned: "+r.rule, update, warned(r.rule), operator, r.before, r.after)
	}
	add("refused: self-lockout", update, denied("self-lockout"), alice, base, awsAuth(adminEntry+nodeEntry, ""))
	add("refused: deleted", update, denied("deleted"), operator, base, nil)
	add("refused: break-glass-denied", update, denied("break-glass-denied"), operator, base, base.annotated(validate.BreakGlassAnnotation, "please"))
	add("refused: among 100", update, denied("yaml-syntax"), operator, edited(adminEntry+nodeEntry+hundredTeams), edited(adminEntry+nodeEntry+hundredTeams+"\t- x\n"))

	for _, c := range cases {
		if c.want == denied("empty-username") {
			c.weight, c.wantB = 5*c.weight, warned("empty-username")
		}
	}
	return cases, checkComplete(cases)
}

const pathEntry = "- rolearn: " + account + "role/team/Build\n  username: build\n  groups:\n  - builders\n"

// ruleEdit is an edit with the rule that must have a finding on the edit.
type ruleEdit struct {
	rule          string
	before, after *object
}

// refusals returns edits that the guard refuses, each with the rule that denies it. newCases adds edits for the remaining rules that
// deny.
func refusals(base *object, edited func(string) *object) []ruleEdit {
	head := adminEntry + nodeEntry
	return []ruleEdit{
		{"misspelt-data-key", base, base.and("mapRole", ciEntry)},
		{"binary-data", base, base.with("binaryData", map[string]any{"mapAccounts": []byte("[]")})},
		{"immutable", base, base.with("immutable", true)},
		{"yaml-syntax", base, edited(strings.Replace(head, "  username", "\tusername", 1))},
		{"not-a-list", base, edited("rolearn: " + adminARN + "\n")},
		{"trailing-content", base, edited(head + "---\n" + ciEntry)},
		{"not-a-mapping", base, edited(head + "- role/CI\n")},
		{"duplicate-key", base, edited(head + ciEntry + "  username: other\n")},
		{"wrong-type", base, edited(head + strings.Replace(ciEntry, "\n  - deployers", " deployers", 1))},
		{"misspelt-key", base, edited(head + strings.Replace(ciEntry, "rolearn", "role_arn", 1))},
		{"missing-arn", base, edited(head + "- username: ci\n")},
		{"leftover-template", base, edited(head + strings.Replace(ciEntry, "111122223333", "${ACCOUNT}", 1))},
		{"fargate-profile-arn", base, edited(head + strings.Replace(ciEntry, account+"role/CI", "arn:aws:eks:eu-west-1:111122223333:fargateprofile/a/b/c", 1))},
		{"malformed-account", base, base.and("mapAccounts", "- 1111-2222-3333")},
		{"reserved-username", base, edited(head + strings.Replace(ciEntry, "username: ci", "username: eks:ci", 1))},
		{"node-shape", base, edited(head + strings.Replace(ciEntry, "deployers", "system:nodes", 1))},
		{"folded-line", base, edited(head + "- rolearn: " + account + "role/CI\n  groups:\n  username: ci\n    - deployers\n")},
		{"empty-username", base, edited(head + strings.Replace(ciEntry, "username: ci", "username: ''", 1))},
		{"malformed-arn", base, edited(head + strings.Replace(ciEntry, "arn:aws:iam", "arn:aws", 1))},
		{"assumed-role-arn", base, edited(head + strings.Replace(ciEntry, account+"role/CI", "arn:aws:sts::111122223333:assumed-role/CI/x", 1))},
		{"role-path", base, edited(head + pathEntry)},
		{"conflicting-principal", base, edited(head + ciEntry + strings.Replace(ciEntry, "deployers", "viewers", 1))},
		{"protected-principal", base, edited(nodeEntry)},
		{"node-role-removed", base, edited(adminEntry)},
		{"last-admin", awsAuth(nodeEntry, aliceEntry), awsAuth(nodeEntry, "")},
		{"emptied", base, awsAuth("", "")},
		{"bypass-grant", base, edited(head + strings.Replace(ciEntry, "deployers", validate.DefaultBypassGroup, 1))},
		{"replacement-character", base, edited(head + "# Andr\ufffd\n")},
		{"too-expensive", base, edited(strings.Repeat("%TAG ! !\n", 17) + "---\n" + head)},
	}
}

// warnings returns an edit for each rule whose default severity is warn.
func warnings(base *object, edited func(string) *object) []ruleEdit {
	head := adminEntry + nodeEntry
	finalizers := []string{"example.com/cleanup"}
	deleted := map[string]any{"deletionTimestamp": "2026-03-01T11:00:00Z", "finalizers": finalizers}
	owners := []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "0f3c5d9e-6a1b-4c57-8a0e-5d2f1b9c7e60"}}
	return []ruleEdit{
		{"unknown-data-key", base, base.and("note", "x")},
		{"unknown-key", base, edited(head + ciEntry + "  description: x\n")},
		{"misplaced-arn", base, edited(head + strings.Replace(ciEntry, "role/CI", "user/CI", 1))},
		{"sso-entry", base, edited(head + "- sso: {permissionSetName: a, accountID: '111122223333'}\n  username: a\n")},
		{"repeated-principal", base, edited(head + ciEntry + ciEntry)},
		{"foreign-partition", base, edited(head + strings.Replace(ciEntry, "arn:aws:", "arn:aws-cn:", 1))},
		{"mapped-account", base, base.and("mapAccounts", "- '111122223333'")},
		{"typographic-character", base, edited(head + strings.Replace(ciEntry, "username: ci", "username: “ci”", 1))},
		{"node-groups", base, edited(head + "- rolearn: arn:aws:iam::111122223333:role/windows-nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n")},
		{"group-typo", base, edited(head + strings.Replace(ciEntry, "deployers", "system:master", 1))},
		{"mass-removal", edited(head + teams(10)), base},
		{"lost-section", base.and("mapAccounts", "- '111122223333'"), base},
		{"admin-grant", base, edited(head + strings.Replace(ciEntry, "deployers", "system:masters", 1))},
		{"allow-removal-denied", base, base.withMetadata(map[string]any{"annotations": map[string]any{validate.AllowRemovalAnnotation: "until tomorrow " + account + "role/CI"}})},
		{"finalizer-added", base, base.withMetadata(map[string]any{"finalizers": finalizers})},
		{"owner-added", base, base.withMetadata(map[string]any{"ownerReferences": owners})},
		{"being-deleted", base.withMetadata(deleted), edited(head + ciEntry).withMetadata(deleted)},
	}
}

// awsRules are the rules that need AWS. The webhook of the soak doesn't call AWS.
var awsRules = []string{"principal-missing", "principal-unverified", "shadowed-by-access-entry", "ignored-by-mode", "access-entries-unknown"}

// checkComplete returns an error if a rule, other than awsRules, has no case with a finding at its default severity.
func checkComplete(cases []*reviewCase) error {
	for _, rule := range validate.Rules() {
		if !slices.Contains(awsRules, rule.ID) && !slices.ContainsFunc(cases, func(c *reviewCase) bool { return c.want == answer{string(rule.Severity), rule.ID} }) {
			return fmt.Errorf("no case has a finding of the rule %s with severity %s", rule.ID, rule.Severity)
		}
	}
	return nil
}

// renamed returns a copy with another name or namespace. If name or namespace is empty, the copy keeps that of the object.
func renamed(o *object, name, namespace string) *object {
	c := *o
	c.name, c.namespace = cmp.Or(name, c.name), cmp.Or(namespace, c.namespace)
	return &c
}

// bodyLimit is the webhook's limit for a request body, in bytes. controller-runtime has the same limit.
const bodyLimit = 7 << 20

// newBroken returns request bodies that aren't valid reviews.
func newBroken() []brokenCase {
	good := newBody(operator, awsAuth(adminEntry, ""), awsAuth(adminEntry+ciEntry, ""))
	text := slices.Concat(good.before, []byte("broken"), good.after)
	const head = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"`
	return []brokenCase{
		{"empty", 2, nil},
		{"not JSON", 2, []byte("<review/>")},
		{"a list", 2, []byte("[]")},
		{"wrong kind", 2, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","namespace":"kube-system"}}`)},
		{"no request", 2, []byte(head + `}`)},
		{"an empty request", 2, []byte(head + `,"request":{}}`)},
		{"no object", 2, []byte(head + `,"request":{"uid":"broken","kind":{"version":"v1","kind":"ConfigMap"},"resource":{"version":"v1","resource":"configmaps"},"name":"aws-auth","namespace":"kube-system","operation":"UPDATE","userInfo":{}}}`)},
		{"cut", 2, text[:len(text)/2]},
		{"invalid UTF-8", 2, slices.Concat([]byte("\xff\xfe\x00"), text)},
		{"nested deeply", 1, []byte(strings.Repeat("[", 10_000))},
		{"too large", 1, slices.Concat(text, []byte(strings.Repeat(" ", bodyLimit)))},
	}
}

// scheduled is an item of the schedule: either a review or a broken body. The other field is nil.
type scheduled struct {
	review *reviewCase
	broken *brokenCase
}

// newSchedule returns a schedule in which each case occurs as often as its weight says. It spreads the cases evenly.
func newSchedule(cases []*reviewCase, broken []brokenCase) []scheduled {
	type slot struct {
		at   float64
		item scheduled
	}
	var slots []slot
	add := func(weight int, item scheduled) {
		for i := range weight {
			slots = append(slots, slot{(float64(i) + .5) / float64(weight), item})
		}
	}
	for _, c := range cases {
		add(c.weight, scheduled{review: c})
	}
	for i := range broken {
		add(broken[i].weight, scheduled{broken: &broken[i]})
	}
	slices.SortStableFunc(slots, func(a, b slot) int { return cmp.Compare(a.at, b.at) })
	schedule := make([]scheduled, len(slots))
	for i, s := range slots {
		schedule[i] = s.item
	}
	return schedule
}
