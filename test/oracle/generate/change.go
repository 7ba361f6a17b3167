package generate

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Change is one version of an object and the next, and what was done to make them. Either is nil where
// there is no object.
type Change struct {
	Old, New map[string]string
	// Model is what New says where nothing has broken its text, and nobody is at fault in it.
	Model *Model
	// Protected are the ARNs that the policy names, each with its groups.
	Protected map[string][]string
	// AdminGroups are the policy's; nil for system:masters.
	AdminGroups []string
	// Requester is the ARN with which the requester logs in, a session's for a role; empty for
	// somebody who does not log in with IAM. Where it is no caller's ARN nobody has it.
	Requester string
	// Form tells how the requester's extra fields are written.
	Form string
	// OverrideGroups are the policy's; nil for system:masters.
	OverrideGroups []string
	// Manifest tells how the guard is shown the new version: a live object if empty.
	Manifest string
	// Done names the styles, edits and breaks.
	Done []string
}

// Kinds of manifests.
const (
	Live        = ""
	Applied     = "manifest"     // as kubectl get -o yaml shows it
	KubectlEdit = "kubectl-edit" // texts escaped, each in one line
)

// The forms of a requester's extra fields. The authenticator writes FullExtra; others are what impersonation,
// proxies, and older releases leave of it.
const (
	FullExtra          = ""
	LowerCaseKeys      = "lower-case-keys"
	MixedCaseKeys      = "mixed-case-keys"
	NoSessionName      = "no-session-name"
	NoAccessKeyID      = "no-access-key-id"
	OnlyCanonicalARN   = "only-canonical-arn"
	OnlySessionARN     = "only-session-arn"
	SessionARNForBoth  = "session-arn-for-both"
	EmptyCanonicalARN  = "empty-canonical-arn"
	SeveralValues      = "several-values"
	NoExtra            = "no-extra"
	NoGroupFromCluster = "no-system-authenticated"
)

// Forms returns every form.
func Forms() []string {
	return []string{
		FullExtra, LowerCaseKeys, MixedCaseKeys, NoSessionName, NoAccessKeyID, OnlyCanonicalARN, OnlySessionARN, SessionARNForBoth,
		EmptyCanonicalARN, SeveralValues, NoExtra, NoGroupFromCluster,
	}
}

// NewChange makes a change.
func NewChange(r *rand.Rand) *Change {
	c := &Change{Manifest: one(r, []string{Live, Live, Live, Applied, KubectlEdit})}
	model := NewModel(r)
	if r.IntN(6) == 0 { // an old version that is not without faults
		c.edit(r, &model, "old:")
	}
	style := one(r, Styles())
	c.Old = style.Write(r, model)
	c.done("style", style.Name)
	c.setFacts(r, model)
	broken := r.IntN(4) == 0
	fixed := c.Old
	if broken {
		c.Old = maps.Clone(c.Old)
		c.done("old-break", breakData(r, c.Old))
	}
	switch n := r.IntN(40); {
	case n == 0:
		c.done("edit", "delete")
		return c
	case n == 1:
		c.Old = nil
		c.done("edit", "create")
	case n < 6 && broken:
		c.New = fixed
		c.done("edit", "repair")
		return c
	case n < 10: // the text goes on to be edited, and keeps what is broken in it
		c.New = maps.Clone(c.Old)
		c.done("break", breakData(r, c.New))
		return c
	}
	c.next(r, model, style)
	return c
}

// next writes the new version from an edited model, perhaps in another style, and may break it.
func (c *Change) next(r *rand.Rand, model Model, style Style) {
	for range one(r, []int{0, 1, 1, 1, 2, 3}) {
		c.edit(r, &model, "")
	}
	if r.IntN(3) == 0 {
		style = one(r, Styles())
		c.done("edit", "restyle")
		c.done("style", style.Name)
	}
	c.New = style.Write(r, model)
	if c.faultless() {
		c.Model = &model
	}
	if r.IntN(5) == 0 {
		c.Model = nil
		c.done("break", breakData(r, c.New))
	}
}

func (c *Change) edit(r *rand.Rand, model *Model, when string) {
	e := one(r, Edits())
	e.do(r, model)
	c.done(when+"edit", e.Name)
}

func (c *Change) done(what, name string) { c.Done = append(c.Done, what+" "+name) }

// harmless edits leave a model without a fault; what other edits leave may have one.
var harmless = []string{"add-role", "add-user", "add-account", "add-group", "reorder", "userid", "remove", "rename", "drop-section", "empty", "restyle", "create"}

func (c *Change) faultless() bool {
	for _, done := range c.Done {
		what, name, _ := strings.Cut(done, " ")
		if what == "old:edit" || what == "edit" && !slices.Contains(harmless, name) {
			return false
		}
	}
	return true
}

// protectable are the ARNs that a policy takes: those of principals, as AWS writes them.
var protectable = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(role/[\w+=,.@-]+|user/[\w+=,.@/-]+|root)|sts::[0-9]{12}:federated-user/[\w+=,.@-]+)$`)

// setFacts picks whom the policy protects and who makes the change.
func (c *Change) setFacts(r *rand.Rand, model Model) {
	if r.IntN(6) == 0 {
		c.AdminGroups = []string{Operators}
	}
	if r.IntN(6) == 0 {
		c.OverrideGroups = []string{BreakGlass}
	}
	entries := slices.Concat(model.Roles, model.Users)
	if len(entries) == 0 {
		return
	}
	c.Protected = make(map[string][]string)
	for range r.IntN(3) {
		if e := one(r, entries); len(e.Groups) > 0 && protectable.MatchString(e.ARN) && !strings.Contains(strings.Join(e.Groups, ""), "{{") {
			c.Protected[e.ARN] = slices.Clone(e.Groups)
			if r.IntN(3) == 0 { // whatever the groups, the principal must be able to log in
				c.Protected[e.ARN] = []string{authenticated}
			}
		}
	}
	switch r.IntN(4) {
	case 0: // somebody of a mapped account, perhaps
		c.Requester = "arn:aws:iam::" + accountA + ":user/stranger"
	case 1, 2:
		c.Requester = caller(one(r, entries).ARN)
	}
	if r.IntN(2) == 0 {
		c.Form = one(r, Forms())
		c.done("form", cmp.Or(c.Form, "full"))
	}
}

// caller is the ARN with which a principal calls: a session's for a role.
func caller(arn string) string {
	head, path, ok := strings.Cut(arn, ":role/")
	if !ok {
		return arn
	}
	return strings.Replace(head, ":iam:", ":sts:", 1) + ":assumed-role/" + path[strings.LastIndexByte(path, '/')+1:] + "/alice@example.com"
}

// NewDocument makes one version of an object from the model or from one of the seeds, and the name of what
// has been done to it. It is shown to the guard as a document of its own.
func NewDocument(r *rand.Rand, seeds []map[string]string) *Change {
	c := &Change{Manifest: one(r, []string{Live, Live, Applied, KubectlEdit})}
	if r.IntN(2) == 0 {
		model := NewModel(r)
		if r.IntN(2) == 0 {
			c.edit(r, &model, "")
		}
		style := one(r, Styles())
		c.New = style.Write(r, model)
		c.done("style", style.Name)
		if c.faultless() {
			c.Model = &model
		}
	} else {
		c.New = maps.Clone(one(r, seeds))
		c.done("style", "seed")
		if key := one(r, []string{"mapRoles", "mapUsers", "mapAccounts"}); r.IntN(4) == 0 && c.New[key] != "" { // two texts, one behind the other
			c.New[key] += one(r, seeds)[key]
			c.done("break", "concatenation")
		}
	}
	for range r.IntN(3) {
		c.Model = nil
		c.done("break", breakData(r, c.New))
	}
	return c
}
