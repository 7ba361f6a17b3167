package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var misspeltKey = &Rule{
	ID:       "misspelt-key",
	Severity: Deny,
	Title:    "a key of an entry looks like rolearn, userarn, username or groups, and is none of them",
	Doc: `
The authenticator ignores a key that it does not know, without an error. An entry with role_arn has
no ARN and is dropped, one with group gives no groups, one with user an empty username. Removing one
letter from a key has cost people their cluster.

Write the key as the hint says.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/types.go; aws-iam-authenticator#607",
	Check:  checkMisspeltKey,
}

func checkMisspeltKey(p *Pass) {
	for m := range p.Doc.Mappings() {
		for _, key := range m.OtherKeys() {
			if right, ok := meantKey(m, key.Value); ok {
				p.Reportf(key, "write "+right+" instead of "+key.Value, "the authenticator ignores the key %q and its value", key.Value)
			}
		}
	}
}

// everydayKeys are words, without separators, that people write for a key; arnWord stands for the
// section's own.
var everydayKeys = map[string][]string{
	"arn":              {arnWord},
	"iamarn":           {arnWord},
	"principalarn":     {arnWord},
	"iamrolearn":       {"rolearn"},
	"iamuserarn":       {"userarn"},
	"role":             {"rolearn"},
	"user":             {"username", "userarn"},
	"name":             {"username"},
	"roles":            {"groups"},
	"grp":              {"groups"},
	"groupnames":       {"groups"},
	"kubernetesgroups": {"groups"},
	"k8sgroups":        {"groups"},
}

const arnWord = "ARN"

// meantKey returns the key that another key of an element was meant to be: one that is spelt almost
// alike or, where the element lacks it, one that an everyday word stands for. Beside the right key
// only one that differs by a letter was meant to be it.
func meantKey(m awsauth.Mapping, key string) (right string, ok bool) {
	if _, ok := entryKey(m, key); ok {
		return "", false // unknown-key reports capital letters
	}
	own := []string{m.Entry.ARNKey(), "username", "groups"}
	for _, right := range own {
		if near(key, right) && (!m.HasKey(right) || textutil.Distance(bare(key), right) <= 1) {
			return right, true
		}
	}
	for _, right := range everydayKeys[bare(key)] {
		if right == arnWord {
			right = m.Entry.ARNKey()
		}
		if slices.Contains(own, right) && !m.HasKey(right) {
			return right, true
		}
	}
	return "", false
}

// isMisspelt reports whether misspelt-key reports a key that was meant to be want.
func (p *Pass) isMisspelt(m awsauth.Mapping, want string) bool {
	return p.runs(misspeltKey) && slices.ContainsFunc(m.OtherKeys(), func(f awsauth.Field) bool {
		right, ok := meantKey(m, f.Value)
		return ok && right == want
	})
}
