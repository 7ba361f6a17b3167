package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// configMapLimit is the largest sum of the sizes of a ConfigMap's values, in bytes (k8s.io/kubernetes
// pkg/apis/core/validation, MaxSecretSize).
const configMapLimit = 1 << 20

const (
	account   = "111122223333"
	adminRole = "arn:aws:iam::" + account + ":role/PlatformAdmin"
	admins    = "system:masters"
)

// entry is an entry of mapRoles or mapUsers.
type entry struct {
	key, arn, username string // key is rolearn or userarn
	groups             [2]string
}

// text returns the entry as kubectl edit shows it.
func (e entry) text() string {
	return fmt.Sprintf("- groups:\n  - %s\n  - %s\n  %s: %s\n  username: %s\n",
		e.groups[0], e.groups[1], e.key, e.arn, e.username)
}

// entryAt returns the entry with the index i of a document. The first entry is an admin, and the second a node role.
// Of the others, every fifth is a user, and the rest are roles of teams.
func entryAt(i int) entry {
	switch {
	case i == 0:
		return entry{"rolearn", adminRole, "platform-admin:{{SessionName}}", [2]string{admins, "platform:admins"}}
	case i == 1:
		return entry{
			"rolearn", "arn:aws:iam::" + account + ":role/eksctl-prod-nodegroup-ng-1-NodeInstanceRole-8J2K4M6P",
			"system:node:{{EC2PrivateDNSName}}",
			[2]string{"system:bootstrappers", "system:nodes"},
		}
	case i%5 == 4:
		return entry{
			"userarn", fmt.Sprintf("arn:aws:iam::%s:user/ci/deployer-%d", account, i),
			fmt.Sprintf("deployer-%d", i),
			[2]string{fmt.Sprintf("team-%d:deployers", i), "deployers"},
		}
	default:
		return entry{
			"rolearn", fmt.Sprintf("arn:aws:iam::%s:role/team-%d-application-developer", account, i),
			fmt.Sprintf("team-%d:{{SessionName}}", i),
			[2]string{fmt.Sprintf("team-%d:developers", i), "developers"},
		}
	}
}

// edit is an update of aws-auth. The new document adds a role and changes the groups of another role. The variants of
// an edit add different roles to the same old document.
type edit struct {
	entries  int // in the new document
	old, new map[string]string
}

func newEdit(entries, variant int) edit {
	var before, after sections
	for i := range entries - 1 {
		e := entryAt(i)
		before.add(e)
		if i == changed(entries) {
			e.groups[1] = "reviewers"
		}
		after.add(e)
	}
	after.add(entry{"rolearn", auditor(variant), "auditor:{{SessionName}}", [2]string{"auditors", "viewers"}})
	return edit{entries: entries, old: before.data(), new: after.data()}
}

// auditor returns the ARN of the role that a variant of an edit adds.
func auditor(variant int) string {
	return fmt.Sprintf("arn:aws:iam::%s:role/auditor-%02d", account, variant)
}

// sections builds the texts of mapRoles and mapUsers.
type sections struct{ roles, users strings.Builder }

func (s *sections) add(e entry) {
	if e.key == "userarn" {
		s.users.WriteString(e.text())
		return
	}
	s.roles.WriteString(e.text())
}

func (s *sections) data() map[string]string {
	return map[string]string{"mapRoles": s.roles.String(), "mapUsers": s.users.String()}
}

// changed returns the index of the entry that an edit changes: the role of a team near the middle.
func changed(entries int) int {
	i := entries / 2
	for i < 2 || i%5 == 4 {
		i++
	}
	return i
}

// largestEdit returns the edit whose new document has the most entries that a ConfigMap can hold.
func largestEdit() edit {
	entries, bytes := 0, 0
	for bytes < configMapLimit {
		bytes += len(entryAt(entries).text())
		entries++
	}
	for {
		if e := newEdit(entries, 0); size(e.new) <= configMapLimit {
			return e
		}
		entries--
	}
}

// size returns the number of bytes that the API server compares with configMapLimit.
func size(data map[string]string) int {
	var n int
	for _, v := range data {
		n += len(v)
	}
	return n
}

// configMap returns aws-auth as the API server sends it to a webhook.
func configMap(data map[string]string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata": map[string]any{
			"name": "aws-auth", "namespace": "kube-system",
			"uid": "4be2f5c1-6f2e-4d3c-9a54-2f0c3d1b7a90", "resourceVersion": "184467",
			"creationTimestamp": "2024-05-02T09:14:07Z",
			"managedFields": []any{map[string]any{
				"apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "kubectl-edit", "operation": "Update",
				"time":     "2024-05-02T09:14:07Z",
				"fieldsV1": map[string]any{"f:data": map[string]any{".": map[string]any{}, "f:mapRoles": map[string]any{}}},
			}},
		},
		"data": data,
	})
}
