package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Evaluation is a change whose texts are decoded. Between [NewEvaluation] and [Evaluation.Verdict] the caller can ask
// IAM about the principals of [Evaluation.ChangedPrincipals], and the API server about the requester's right.
type Evaluation struct {
	rules *ruleRun
	// decoded reports that both versions are decoded. It is false if an update keeps the content of aws-auth, or if
	// the guard failed while it decoded them.
	decoded bool
	pass    *Pass
}

// NewEvaluation decodes a change and compares the effective access before and after. It treats an update that completes a
// deletion as a deletion.
func NewEvaluation(c Change, policy Policy) *Evaluation {
	next := c.New
	if c.CompletesDeletion() {
		c.Operation, next = Delete, nil // c.New stays, because it has the annotations
	}
	j := &ruleRun{change: c, policy: policy}
	nothing := &awsauth.Document{Map: new(awsauth.Map)}
	r := &Evaluation{rules: j, pass: &Pass{Doc: nothing, Old: nothing.Map, New: nothing.Map, Change: c, Policy: policy}}
	if c.Operation == Update && c.New.SameContent(c.Old) {
		return r
	}
	r.decoded = j.guard(InternalError, func() {
		cache := c.Cache
		if cache == nil {
			cache = new(awsauth.Cache) // with a cache, an unchanged section is decoded once
		}
		before, after := cache.ParseChange(c.Old, next)
		r.pass.Doc, r.pass.Old, r.pass.New = after, before, next.AtWorst(after.Map)
		j.access = diffAccess(before, after.Map, r.pass.New)
		r.pass.Access = j.access
	})
	return r
}

// diffAccess returns the changes of effective access between two versions. A new version whose text may hide bytes has
// two possible maps: best, in which every section loads, and worst, in which some sections do not. diffAccess returns the
// changes from before to worst, and the gains of principals that gain access only in best.
func diffAccess(before, best, worst *awsauth.Map) []awsauth.AccessChange {
	changes := awsauth.DiffAccess(before, worst)
	if worst == best {
		return changes
	}
	gains := func(c *awsauth.AccessChange) bool { return c.New || len(c.Gained) > 0 || gives(c) }
	known := make(map[string]bool)
	for i := range changes {
		known[changes[i].ARN] = gains(&changes[i])
	}
	for _, c := range awsauth.DiffAccess(before, best) {
		if gains(&c) && !known[c.ARN] {
			changes = append(changes, c)
		}
	}
	return changes
}

// AsksRight reports whether the verdict depends on the requester's right break-glass. It does if all of these hold:
//   - OverrideByRight is set.
//   - A break-glass annotation applies to the request.
//   - The requester is not a service account, and no group and no ARN of the requester entitles them to use the annotation.
//
// The guard never refuses an observed request. For such a request the right decides whether the requester gets a warning.
func (r *Evaluation) AsksRight() bool {
	c, policy := r.rules.change, r.rules.policy
	if !policy.OverrideByRight {
		return false
	}
	c.Requester.BreakGlass = RightDenied
	without := c.breakGlass(policy)
	c.Requester.BreakGlass = RightGranted
	return without.denied != c.breakGlass(policy).denied
}

// AsksIAM reports whether the guard asks IAM about the principals of the change.
func (r *Evaluation) AsksIAM() bool {
	c, policy := r.rules.change, r.rules.policy
	return circumstancesOf(c, policy).asksIAM(policy.IAMMode)
}

// ChangedPrincipals returns the roles and users to look up in IAM, each once, in the order of the entries:
//   - the principals that get another group or username
//   - the new principals, without those that the old text names in a part that the authenticator does not read: for
//     these the change only repairs an entry
//
// The list is empty if the guard does not ask IAM, or if both rules about IAM are off.
func (r *Evaluation) ChangedPrincipals() (list []awsauth.ARN) {
	c, policy := r.rules.change, r.rules.policy
	if !r.AsksIAM() || policy.severity(principalMissing) == Off && policy.severity(principalUnverified) == Off {
		return nil
	}
	held := holder{old: c.Old}
	for i := range r.rules.access {
		a := &r.rules.access[i]
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

// gives reports whether a principal has an entry after the change, and gains by it a login, a group or another username.
func gives(c *awsauth.AccessChange) bool {
	return len(c.After) > 0 && (c.New || len(c.Gained) > 0 || slices.ContainsFunc(c.After, func(after *awsauth.Entry) bool {
		return after.Username != "" && !slices.ContainsFunc(c.Before, func(before *awsauth.Entry) bool { return before.Username == after.Username })
	}))
}

// holder searches the text of the old version for principals. It also finds ARNs that the authenticator does not use: an
// ARN below a misspelt key or in a section that does not parse, the ARN of a role with its path, and the ARN of a
// session. It ignores an ARN in a comment, in a username or under an unrelated key of data.
type holder struct {
	old   *awsauth.Object
	lower []string        // the texts in lower case; built on first use
	keys  map[string]bool // the PrincipalKeys of the ARNs in the texts; built on first use
	asked int             // number of calls of names
}

// maxSearches limits the principals for each of which holder searches the text. When a search finds the principal's name, or
// after maxSearches principals, holder parses every ARN of the text once, and then looks up all principals among these ARNs.
// Most changes add a few principals, and a few searches are much faster than the parsing.
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
		if word != ":" { // a colon stands alone after a key in quotes
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

// Answers are the answers of IAM and of the API server about a change.
type Answers struct {
	// IAM holds the lookups of the changed principals. A principal without a lookup gets no finding about IAM.
	IAM IAM
	// BreakGlass is the answer about the requester's right, if [Evaluation.AsksRight] returns true.
	BreakGlass Right
}

// Verdict runs the rules with the answers, and returns the verdict.
func (r *Evaluation) Verdict(a Answers) Verdict {
	for _, c := range []*Change{&r.rules.change, &r.pass.Change} {
		c.IAM, c.Requester.BreakGlass = a.IAM, a.BreakGlass
	}
	return r.rules.verdict(r)
}
