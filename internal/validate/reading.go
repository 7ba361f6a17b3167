package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Reading is a change whose texts are decoded. Between [Read] and [Reading.Judge] IAM can be asked
// about the principals that it adds or gives more.
type Reading struct {
	judgement *judgement
	// decoded says that there is content to judge: that of the two versions differs.
	decoded bool
	pass    *Pass
}

// Read decodes a change and compares who gets in before and after.
func Read(c Change, policy Policy) *Reading {
	j := &judgement{change: c, policy: policy}
	nothing := &awsauth.Document{Map: new(awsauth.Map)}
	r := &Reading{judgement: j, pass: &Pass{Doc: nothing, Old: nothing.Map, New: nothing.Map, Change: c, Policy: policy}}
	if c.Operation == Update && c.New.SameContent(c.Old) {
		return r
	}
	r.decoded = j.guard(InternalError, func() {
		before, after := awsauth.ParseChange(c.Old, c.New)
		r.pass.Doc, r.pass.Old, r.pass.New = after, before, after.Map
		j.access = awsauth.DiffAccess(before, after.Map)
		r.pass.Access = j.access
	})
	return r
}

// ChangedPrincipals returns the roles and users that the change lets in and that the old version does not
// hold, however it wrote them: whoever repairs an entry has not chosen its principal; and those that get more
// groups. They are what IAM is to be asked about, each once, in the order of the entries; none where the policy
// does not ask IAM.
func (r *Reading) ChangedPrincipals() (list []awsauth.ARN) {
	c, policy := r.judgement.change, r.judgement.policy
	if policy.IAMMode == "" || policy.IAMMode == Off || policy.severity(principalMissing) == Off && policy.severity(principalUnverified) == Off {
		return nil
	}
	held := holder{old: c.Old}
	for _, a := range r.judgement.access {
		if len(a.After) == 0 || !a.New && len(a.Gained) == 0 {
			continue
		}
		arn, err := a.After[0].Principal()
		if err != nil || arn.Service != "iam" || arn.Resource == "root" {
			continue // root always exists, and IAM knows no federated users
		}
		if !a.New || !held.names(arn) {
			list = append(list, arn)
		}
	}
	return list
}

// holder tells which principals the texts of a version name, also where the authenticator does not
// read them: below a misspelt key, in a section that does not parse, with a role's path, as a session; but not
// in a comment.
type holder struct {
	old   *awsauth.Object
	lower []string        // its texts, in lower case; nil before they are needed
	keys  map[string]bool // of the principals; nil before they are needed
	asked int
}

// maxSearches is how many names are looked for in a text before all of its ARNs are read: a change
// adds a few principals at a time, and for a few that is much faster.
const maxSearches = 16

func (h *holder) names(arn awsauth.ARN) bool {
	if h.old == nil {
		return false
	}
	if h.lower == nil {
		h.lower = make([]string, 0, len(h.old.Data))
		for _, text := range h.old.Data {
			h.lower = append(h.lower, strings.ToLower(text))
		}
	}
	h.asked++
	name := "/" + strings.ToLower(arn.Name())
	if h.asked <= maxSearches && !slices.ContainsFunc(h.lower, func(text string) bool { return strings.Contains(text, name) }) {
		return false
	}
	if h.keys == nil {
		h.keys = make(map[string]bool)
		for _, text := range h.old.Data {
			h.add(text)
		}
	}
	return h.keys[awsauth.PrincipalKey(arn.String())]
}

func (h *holder) add(text string) {
	comment := false
	for word := range strings.FieldsFuncSeq(strings.ReplaceAll(text, "\n", " \n "), func(r rune) bool { return strings.ContainsRune(" \t\r\"'[]{}", r) }) {
		if word == "\n" || word[0] == '#' {
			comment = word[0] == '#'
		}
		if comment || len(word) < 4 || !strings.EqualFold(word[:4], "arn:") {
			continue
		}
		arn, err := awsauth.ParseARN(strings.TrimRight(word, ","))
		if err != nil {
			continue
		}
		if role, ok := arn.SessionRole(); ok {
			arn = role
		}
		h.keys[awsauth.PrincipalKey(arn.String())] = true
	}
}

// Judge runs the rules and decides. What IAM knows of the changed principals is handed in; of those that
// it does not hold nothing is said.
func (r *Reading) Judge(iam IAM) Verdict {
	r.judgement.change.IAM, r.pass.Change.IAM = iam, iam
	return r.judgement.judge(r)
}
