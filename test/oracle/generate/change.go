package generate

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Change is an old and a new version of an object, with the policy and the requester. A version is nil if the object
// does not exist.
type Change struct {
	Old, New map[string]string
	// Model is the content of New. It is nil if the entries may have faults, or if New is not the text of a model: it has a
	// break, or texts of the old version.
	Model *Model
	// Protected maps the ARN of each protected principal to its groups.
	Protected map[string][]string
	// AdminGroups are the admin groups of the policy; nil means system:masters.
	AdminGroups []string
	// Requester is the ARN with which the requester logs in: for a role, the ARN of a session. It is empty if the
	// requester doesn't log in with IAM. It can be an ARN that no caller has.
	Requester string
	// Form is one of [Forms]. It says which extra fields the requester has, or that the requester lacks a group.
	Form string
	// OverrideGroups are the override groups of the policy; nil means system:masters.
	OverrideGroups []string
	// Manifest is the kind of manifest from which the guard reads the new version. With Live, it reads the object
	// without a manifest.
	Manifest string
	// Origin lists the styles, edits and breaks that made the change.
	Origin []string
}

// Kinds of manifests.
const (
	Live        = ""
	Applied     = "manifest"     // as kubectl get -o yaml shows it
	KubectlEdit = "kubectl-edit" // each text in one line, with escapes
)

// The forms of a requester's extra fields. The authenticator writes FullExtra. Impersonation, proxies and older releases
// produce the others. NoGroupFromCluster has the fields of FullExtra, but the requester isn't in system:authenticated.
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

// NewChange makes a random change. It can delete or create the object. In a quarter of the changes, the old version has
// breaks. The new version can keep the breaks, repair them, or have a break in another place.
func NewChange(r *rand.Rand) *Change {
	c := &Change{Manifest: pick(r, []string{Live, Live, Live, Applied, KubectlEdit})}
	model := NewModel(r)
	if r.IntN(6) == 0 { // the old version may have a fault
		c.edit(r, &model, "old:")
	}
	style := pick(r, Styles())
	c.Old = style.Write(r, model)
	c.record("style", style.Name)
	c.setPolicyAndRequester(r, model)
	broken := r.IntN(4) == 0
	fixed := c.Old
	if broken {
		c.Old = maps.Clone(c.Old)
		for range pick(r, []int{1, 1, 1, 2, 3}) {
			c.record("old-break", breakData(r, c.Old))
		}
	}
	switch n := r.IntN(40); {
	case n == 0:
		c.record("edit", "delete")
		return c
	case n == 1:
		c.Old = nil
		c.record("edit", "create")
	case n < 6 && broken:
		c.New = fixed
		c.record("edit", "repair")
		return c
	case n < 9 && broken: // instead, the new version has the same break in a random place
		c.New = maps.Clone(fixed)
		last := strings.TrimPrefix(c.Origin[len(c.Origin)-1], "old-break ")
		c.record("break", breakAgain(r, c.New, last))
		return c
	case n < 10: // the new version keeps the text of the old version, broken or not, and gets a break
		c.New = maps.Clone(c.Old)
		c.record("break", breakData(r, c.New))
		return c
	}
	c.writeNext(r, model, style)
	return c
}

// writeNext edits the model and writes the new version, sometimes in another style or with a break.
func (c *Change) writeNext(r *rand.Rand, model Model, style Style) {
	for range pick(r, []int{0, 1, 1, 1, 2, 3}) {
		c.edit(r, &model, "")
	}
	if r.IntN(3) == 0 {
		style = pick(r, Styles())
		c.record("edit", "restyle")
		c.record("style", style.Name)
	}
	c.New = style.Write(r, model)
	if c.faultless() {
		c.Model = &model
	}
	if r.IntN(8) == 0 && c.Old != nil {
		c.keepKeys(r)
	}
	if r.IntN(5) == 0 {
		c.Model = nil
		c.record("break", breakData(r, c.New))
	}
}

// NewCorrection makes a change of an entry with two faults. The change corrects one fault or both, or replaces both by
// another fault.
func NewCorrection(r *rand.Rand) *Change {
	c := &Change{Manifest: pick(r, []string{Live, Live, Live, Applied, KubectlEdit})}
	model := NewModel(r)
	for len(model.Roles) == 0 {
		model = NewModel(r)
	}
	correct := model.Clone()
	at := r.IntN(len(model.Roles))
	e := &model.Roles[at]
	e.Username, e.Groups = "${USERNAME}", append(slices.Clone(e.Groups), "${GROUP}")
	style := pick(r, Styles())
	c.Old = style.Write(r, model)
	c.record("style", style.Name)
	c.record("old:edit", "two-faults")
	c.setPolicyAndRequester(r, model)
	edit := pick(r, []string{"correct-username", "correct-group", "correct-both", "replace-faults"})
	c.record("edit", edit)
	next := &correct.Roles[at]
	switch edit {
	case "correct-username":
		next.Groups = e.Groups
	case "correct-group":
		next.Username = e.Username
	case "replace-faults":
		next.Username = ""
	}
	c.New = style.Write(r, correct)
	return c
}

// keepKeys replaces some keys of the new version by those of the old one. kubectl apply, a patch and Terraform's
// kubernetes_config_map_v1_data change some keys of an object, and keep the others as they are.
func (c *Change) keepKeys(r *rand.Rand) {
	c.Model = nil
	for _, key := range []string{"mapRoles", "mapUsers", "mapAccounts"} {
		if r.IntN(2) == 0 {
			continue
		}
		if text, ok := c.Old[key]; ok {
			c.New[key] = text
		} else {
			delete(c.New, key)
		}
		c.record("keep", key)
	}
}

// edit makes a random edit of the model. It records the name of the edit in Origin. when is "" or "old:".
func (c *Change) edit(r *rand.Rand, model *Model, when string) {
	e := pick(r, Edits())
	e.apply(r, model)
	c.record(when+"edit", e.Name)
}

func (c *Change) record(what, name string) { c.Origin = append(c.Origin, what+" "+name) }

// faultlessEdits are the names of the edits that add no fault to a model. Some of them take access away. Other edits may
// add a fault.
var faultlessEdits = []string{"add-role", "add-user", "add-account", "add-group", "reorder", "userid", "remove", "rename", "drop-section", "empty", "restyle", "create"}

// faultless reports whether no edit of the change may have added a fault to the entries. It ignores breaks.
func (c *Change) faultless() bool {
	for _, done := range c.Origin {
		what, name, _ := strings.Cut(done, " ")
		if what == "old:edit" || what == "edit" && !slices.Contains(faultlessEdits, name) {
			return false
		}
	}
	return true
}

// protectable matches the ARNs that a policy accepts as protected: ARNs of principals, as AWS writes them.
var protectable = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(role/[\w+=,.@-]+|user/[\w+=,.@/-]+|root)|sts::[0-9]{12}:federated-user/[\w+=,.@-]+)$`)

// setPolicyAndRequester picks the groups and protected principals of the policy, and the requester.
func (c *Change) setPolicyAndRequester(r *rand.Rand, model Model) {
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
		if e := pick(r, entries); len(e.Groups) > 0 && protectable.MatchString(e.ARN) && !strings.Contains(strings.Join(e.Groups, ""), "{{") {
			c.Protected[e.ARN] = slices.Clone(e.Groups)
			if r.IntN(3) == 0 { // the policy requires only that the principal can log in
				c.Protected[e.ARN] = []string{authenticated}
			}
		}
	}
	switch r.IntN(4) {
	case 0: // a user without an entry, whose account may be in mapAccounts
		c.Requester = "arn:aws:iam::" + accountA + ":user/stranger"
	case 1, 2:
		c.Requester = callerARN(pick(r, entries).ARN)
	}
	if r.IntN(2) == 0 {
		c.Form = pick(r, Forms())
		c.record("form", cmp.Or(c.Form, "full"))
	}
}

// callerARN returns the ARN with which a principal calls: for a role, the ARN of a session.
func callerARN(arn string) string {
	head, path, ok := strings.Cut(arn, ":role/")
	if !ok {
		return arn
	}
	return strings.Replace(head, ":iam:", ":sts:", 1) + ":assumed-role/" + path[strings.LastIndexByte(path, '/')+1:] + "/alice@example.com"
}

// NewDocument makes a change that has only a new version, so the guard evaluates a document by itself. It makes the version
// from a new model or from one of the seeds, and adds up to two breaks.
func NewDocument(r *rand.Rand, seeds []map[string]string) *Change {
	c := &Change{Manifest: pick(r, []string{Live, Live, Applied, KubectlEdit})}
	if r.IntN(2) == 0 {
		model := NewModel(r)
		if r.IntN(2) == 0 {
			c.edit(r, &model, "")
		}
		style := pick(r, Styles())
		c.New = style.Write(r, model)
		c.record("style", style.Name)
		if c.faultless() {
			c.Model = &model
		}
	} else {
		c.New = maps.Clone(pick(r, seeds))
		c.record("style", "seed")
		if key := pick(r, []string{"mapRoles", "mapUsers", "mapAccounts"}); r.IntN(4) == 0 && c.New[key] != "" { // concatenate two texts
			c.New[key] += pick(r, seeds)[key]
			c.record("break", "concatenation")
		}
	}
	for range r.IntN(3) {
		c.Model = nil
		c.record("break", breakData(r, c.New))
	}
	return c
}
