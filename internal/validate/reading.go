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

// Read decodes a change and compares who gets in before and after. An update that completes a
// deletion is read as a deletion.
func Read(c Change, policy Policy) *Reading {
	next := c.New
	if c.CompletesDeletion() {
		c.Operation, next = Delete, nil // New keeps the annotations
	}
	j := &judgement{change: c, policy: policy}
	nothing := &awsauth.Document{Map: new(awsauth.Map)}
	r := &Reading{judgement: j, pass: &Pass{Doc: nothing, Old: nothing.Map, New: nothing.Map, Change: c, Policy: policy}}
	if c.Operation == Update && c.New.SameContent(c.Old) {
		return r
	}
	r.decoded = j.guard(InternalError, func() {
		cache := c.Cache
		if cache == nil {
			cache = new(awsauth.Cache) // a section that stays as it was is decoded once
		}
		before, after := cache.ParseChange(c.Old, next)
		r.pass.Doc, r.pass.Old, r.pass.New = after, before, next.AtWorst(after.Map)
		j.access = diffAccess(before, after.Map, r.pass.New)
		r.pass.Access = j.access
	})
	return r
}

// diffAccess compares who gets in. Where the new version may load less, because it may hide bytes, the
// losses are those at worst and the gains those at best.
func diffAccess(before, best, worst *awsauth.Map) []awsauth.AccessChange {
	changes := awsauth.DiffAccess(before, worst)
	if worst == best {
		return changes
	}
	gains := func(c *awsauth.AccessChange) bool { return c.New || len(c.Gained) > 0 || gives(c) }
	told := make(map[string]bool)
	for i := range changes {
		told[changes[i].ARN] = gains(&changes[i])
	}
	for _, c := range awsauth.DiffAccess(before, best) {
		if gains(&c) && !told[c.ARN] {
			changes = append(changes, c)
		}
	}
	return changes
}

// AsksIAM reports whether IAM is asked about the change.
func (r *Reading) AsksIAM() bool {
	c, policy := r.judgement.change, r.judgement.policy
	return circumstancesOf(c, policy).asksIAM(policy.IAMMode)
}

// ChangedPrincipals returns the roles and users that the change lets in and that the old version does not
// hold, however it wrote them: whoever repairs an entry has not chosen its principal; and those that get a
// group or a username that they had not. They are what IAM is to be asked about, each once, in the order of the entries; none where the policy
// does not ask IAM.
func (r *Reading) ChangedPrincipals() (list []awsauth.ARN) {
	c, policy := r.judgement.change, r.judgement.policy
	if !r.AsksIAM() || policy.severity(principalMissing) == Off && policy.severity(principalUnverified) == Off {
		return nil
	}
	held := holder{old: c.Old}
	for i := range r.judgement.access {
		a := &r.judgement.access[i]
		if !gives(a) {
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

// gives reports whether a principal gets in, or gets a group or a username that it had not.
func gives(c *awsauth.AccessChange) bool {
	return len(c.After) > 0 && (c.New || len(c.Gained) > 0 || slices.ContainsFunc(c.After, func(after *awsauth.Entry) bool {
		return after.Username != "" && !slices.ContainsFunc(c.Before, func(before *awsauth.Entry) bool { return before.Username == after.Username })
	}))
}

// holder tells which principals the texts of a version name, also where the authenticator does not
// read them: below a misspelt key, in a section that does not parse, with a role's path, as a session; but not
// in a comment, as a username, or under a key of data that is no section's.
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
		for key, text := range h.old.Data {
			if isSection(key) {
				h.lower = append(h.lower, strings.ToLower(text))
			}
		}
	}
	h.asked++
	name := "/" + strings.ToLower(arn.Name())
	if h.asked <= maxSearches && !slices.ContainsFunc(h.lower, func(text string) bool { return strings.Contains(text, name) }) {
		return false
	}
	if h.keys == nil {
		h.keys = make(map[string]bool)
		for key, text := range h.old.Data {
			if isSection(key) {
				h.add(text)
			}
		}
	}
	return h.keys[awsauth.PrincipalKey(arn.String())]
}

func isSection(key string) bool {
	_, misspelt := nearDataKey(key)
	return misspelt || awsauth.IsSection(key)
}

func (h *holder) add(text string) {
	comment, before := false, ""
	for word := range strings.FieldsFuncSeq(strings.ReplaceAll(text, "\n", " \n "), func(r rune) bool { return strings.ContainsRune(" \t\r\"'[]{}", r) }) {
		if word == "\n" || word[0] == '#' {
			comment = word[0] == '#'
		}
		isName := strings.EqualFold(strings.TrimSuffix(before, ":"), "username")
		if word != ":" { // as after a key in quotes
			before = word
		}
		if comment || isName || len(word) < 4 || !strings.EqualFold(word[:4], "arn:") {
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
