package awsauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	yamlv2 "go.yaml.in/yaml/v2"
	"sigs.k8s.io/yaml"
)

// Map is the state of the authenticator after it has read an object
// (pkg/mapper/configmap/configmap.go, ParseMap and saveMap).
type Map struct {
	// Roles and Users hold every element of mapRoles and mapUsers in the order of the text. They include the elements
	// that the authenticator drops, see Entry.Dropped. They are empty for a section with a LoadError.
	Roles, Users []Entry
	// Accounts holds the elements of mapAccounts that the authenticator keeps. In place of an element that it can't
	// decode, and of all elements after that, the authenticator keeps empty texts.
	Accounts []string

	sections   map[Section]section
	principals []Principal
}

// section is the result of loading one section.
type section struct {
	text string
	json []byte // the elements as JSON; nil for mapAccounts, and if lost is set
	lost error  // the reason why the authenticator loads nothing from the section
	stop error  // the error of the element of mapAccounts at which the authenticator stops reading
	typ  error  // the error about values that are ignored because of a wrong type

	plain    bool // see plainElements
	entries  []Entry
	keys     index
	accounts []string
	ids      map[string]int // maps an account to its first index in accounts
}

// Entry is one element of mapRoles or mapUsers as the authenticator decodes it.
type Entry struct {
	Section  Section
	Index    int    // the index in the section, counted from zero
	ARN      string // rolearn or userarn
	Username string // may hold templates, see [Templates]
	Groups   []string
	SSO      *SSO
	// Dropped is the reason why the authenticator does not load the element. It is empty for loaded elements.
	Dropped string

	shadowedBy   *Entry // the entry that the authenticator stores under the same key in place of this one, or nil
	principal    ARN
	notPrincipal error    // the error of ParseARN for ARN; nil if ARN is empty
	set          []string // see groupSet
}

// Principal returns the result of [ParseARN] for the entry's ARN. For an entry without an ARN it returns the zero ARN
// and no error.
func (e *Entry) Principal() (ARN, error) { return e.principal, e.notPrincipal }

// Path returns the path of the entry in the object, such as data.mapRoles[1].
func (e *Entry) Path() string { return fmt.Sprintf("%s[%d]", e.Section.Path(), e.Index) }

// ARNKey returns the name of the key that holds the entry's ARN: rolearn or userarn.
func (e *Entry) ARNKey() string { return arnKey(e.Section) }

func arnKey(s Section) string {
	if s == MapUsers {
		return "userarn"
	}
	return "rolearn"
}

// SSO holds the fields under the key sso of an element. The authenticator matches such an element only with the feature
// gate SSORoleMatch, which is off by default (pkg/config/features.go). It is not known whether EKS turns the gate on.
// This package assumes that the gate is off: the authenticator loads the element, and the element matches no caller.
type SSO struct {
	PermissionSetName string `json:"permissionSetName"`
	AccountID         string `json:"accountID"`
	Partition         string `json:"partition"`
}

// roleElement and userElement have the fields and JSON names of the authenticator's RoleMapping and UserMapping
// (pkg/config/types.go). encoding/json matches them ignoring case.
type roleElement struct {
	RoleARN  string   `json:"rolearn"`
	SSO      *SSO     `json:"sso"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	UserID   string   `json:"userid"`
}

type userElement struct {
	UserARN  string   `json:"userarn"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	UserID   string   `json:"userid"`
}

// Load decodes the object as the authenticator does. It never fails: the Map leaves out everything that the
// authenticator can't read, and sections that are too expensive to evaluate; see [Map.LoadError].
func (o *Object) Load() *Map { return newMap(o.loadSections(o.checkLimits(), nil)) }

// ParseChange loads the object before a change and parses the object after it. It decodes only sections that are not in
// the cache.
func (c *Cache) ParseChange(before, after *Object) (*Map, *Document) {
	sections := before.loadSections(before.checkLimits(), c)
	m := newMap(after.loadSections(after.checkLimits(), c))
	for s, loaded := range sections {
		// Equal texts share one decoded section. But if the sections before this one differ, the limit of tokens may
		// exclude it from only one version.
		if now, ok := m.sections[s]; ok && now.text == loaded.text && (now.lost == nil) == (loaded.lost == nil) {
			sections[s] = now
		}
	}
	return newMap(sections), after.ParseLoaded(m)
}

// text returns the text of a section, or "" if the authenticator treats the text as empty.
func (o *Object) text(s Section) string {
	if o == nil || skippable(o.Data[string(s)]) {
		return ""
	}
	return o.Data[string(s)]
}

func (o *Object) loadSections(expensive map[Section]error, c *Cache) map[Section]section {
	loaded := make(map[Section]section, 3)
	for _, s := range Sections() {
		switch text := o.text(s); {
		case text == "":
		case expensive[s] != nil:
			loaded[s] = section{text: text, lost: expensive[s]}
		default:
			loaded[s] = c.load(s, text)
		}
	}
	return loaded
}

func newMap(sections map[Section]section) *Map {
	m := &Map{sections: sections}
	m.Roles, m.Users = m.sections[MapRoles].entries, m.sections[MapUsers].entries
	m.Accounts = m.sections[MapAccounts].accounts
	m.principals = m.listPrincipals()
	return m
}

// loadSection decodes the text of a section. The text must not be skippable.
func loadSection(s Section, text string) section {
	if err := checkBinary(text); err != nil {
		return section{text: text, lost: err}
	}
	if s != MapAccounts { // in mapAccounts, a list of strings, an alias stands for one text only
		if err := checkUnfolded(text); err != nil {
			return section{text: text, lost: err}
		}
	}
	var loaded section
	switch s {
	case MapRoles:
		elements, decoded := decodeList[roleElement](text)
		loaded = decoded
		loaded.entries = make([]Entry, len(elements))
		for i, e := range elements {
			loaded.entries[i] = Entry{Section: s, Index: i, ARN: e.RoleARN, Username: e.Username, Groups: e.Groups, SSO: e.SSO, Dropped: e.dropped()}
		}
	case MapUsers:
		elements, decoded := decodeList[userElement](text)
		loaded = decoded
		loaded.entries = make([]Entry, len(elements))
		for i, e := range elements {
			loaded.entries[i] = Entry{Section: s, Index: i, ARN: e.UserARN, Username: e.Username, Groups: e.Groups, Dropped: e.dropped()}
		}
	case MapAccounts:
		loaded = decodeAccounts(text)
		loaded.ids = make(map[string]int, len(loaded.accounts))
		for i, account := range loaded.accounts {
			if _, ok := loaded.ids[account]; !ok {
				loaded.ids[account] = i
			}
		}
	}
	for i := range loaded.entries {
		e := &loaded.entries[i]
		e.set = groupSet(e.Groups) // computed now, because reviews share a decoded section and must not change it
		if e.ARN != "" {
			e.principal, e.notPrincipal = ParseARN(e.ARN)
		}
	}
	loaded.keys = newIndex(loaded.entries)
	if err := checkAtRandom(loaded.keys); err != nil {
		return section{text: text, lost: err}
	}
	loaded.text = text
	loaded.plain = loaded.typ == nil && len(loaded.entries) > 0 && plainElements(s, text) == len(loaded.entries)
	return loaded
}

// LoadError returns the reason why the Map holds nothing of a section: the error of the authenticator's decoder, or the
// error that [Map.Unknown] returns. In a map of [Object.AtWorst] and [Object.Readings] it can also be the error that
// the stored section may hold bytes that are not UTF-8. LoadError returns nil for a section that is loaded, empty or
// missing.
func (m *Map) LoadError(s Section) error { return m.sections[s].lost }

// Unknown returns an error if the section is too expensive to evaluate. The Map then holds nothing of the section,
// although the authenticator may load entries from it. For other sections Unknown returns nil.
func (m *Map) Unknown(s Section) error {
	if err := m.sections[s].lost; errors.Is(err, errExpensive) {
		return err
	}
	return nil
}

// skippable reports whether the authenticator treats a text as empty (configmap.go, isSkippable).
func skippable(text string) bool {
	switch strings.TrimSpace(text) {
	case "", "``", `""`, "''":
		return true
	}
	return false
}

// errNotAList is wrapped by the error of a section that parses but is not a list.
var errNotAList = errors.New("is not a list")

// errJSON is wrapped by the error of a section that begins with a brace but is not JSON.
var errJSON = errors.New("a text that begins with { is read as JSON")

// decodeList decodes mapRoles or mapUsers as the authenticator does. It returns the elements, and a section with json,
// lost and typ set. sigs.k8s.io/yaml converts YAML 1.1 to JSON. encoding/json decodes the JSON, and ignores values of a
// wrong type. A text that begins with { after white space is decoded as JSON without the conversion (apimachinery,
// pkg/util/yaml, ToJSON).
func decodeList[T any](text string) ([]T, section) {
	data := []byte(text)
	if !bytes.HasPrefix(bytes.TrimLeftFunc(data, unicode.IsSpace), []byte("{")) {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, section{lost: err}
		}
	}
	var elements []T
	err := json.Unmarshal(data, &elements)
	var typeError *json.UnmarshalTypeError
	switch {
	case err == nil:
		return elements, section{json: data}
	case !errors.As(err, &typeError):
		return nil, section{lost: fmt.Errorf("%w: %w", errJSON, err)}
	case data[0] != '[':
		return nil, section{lost: fmt.Errorf("%w: %w", errNotAList, err)}
	}
	return elements, section{json: data, typ: err}
}

// decodeAccounts decodes mapAccounts. The authenticator reads it with yaml.v2 directly into a list of strings. This
// drops elements that are not scalars. yaml.v2 stops at an element that it can't decode, such as !!int x. The
// authenticator then keeps the elements before it, and empty texts in place of it and of the elements after it. The
// authenticator loads nothing from a text that does not parse.
func decodeAccounts(text string) section {
	var accounts []string
	err := yamlv2.Unmarshal([]byte(text), &accounts)
	typeError, ok := errors.AsType[*yamlv2.TypeError](err)
	switch {
	case err == nil:
		return section{accounts: accounts}
	case accounts == nil && ok:
		return section{lost: fmt.Errorf("%w: %w", errNotAList, typeError)}
	case accounts == nil:
		return section{lost: err}
	case !ok:
		return section{accounts: accounts, stop: err}
	}
	return section{accounts: accounts, typ: typeError}
}

var ssoPermissionSet = regexp.MustCompile(`^[\w+=,.@-]{1,32}$`)

// dropped returns the reason why the authenticator's RoleMapping.Validate refuses the element (pkg/config/mapper.go).
// It returns "" if Validate accepts the element.
func (e roleElement) dropped() string {
	switch {
	case e.RoleARN == "" && e.SSO == nil:
		return "has neither rolearn nor sso"
	case e.RoleARN != "" && e.SSO != nil:
		return "has both rolearn and sso"
	case e.SSO == nil:
		return ""
	case !IsAccountID(e.SSO.AccountID):
		return fmt.Sprintf("has the sso.accountID %q, which is not 12 digits", e.SSO.AccountID)
	case !ssoPermissionSet.MatchString(e.SSO.PermissionSetName):
		return fmt.Sprintf("has the sso.permissionSetName %q, which IAM Identity Center does not allow", e.SSO.PermissionSetName)
	case e.SSO.Partition != "" && !knownPartition(e.SSO.Partition):
		return fmt.Sprintf("has the sso.partition %q, which does not exist", e.SSO.Partition)
	}
	return ""
}

// dropped returns the reason why the authenticator's UserMapping.Validate refuses the element, or "" if it accepts it.
func (e userElement) dropped() string {
	if e.UserARN == "" {
		return "has no userarn"
	}
	return ""
}

// key returns the key under which the authenticator stores the entry. Of several entries with the same key, the
// authenticator keeps only the last one. Keys of users keep their case, and keys of roles are in lower case
// (pkg/config/mapper.go, Key).
func (e *Entry) key() string {
	switch {
	case e.Section == MapUsers:
		return e.ARN
	case e.ARN != "":
		return strings.ToLower(e.ARN)
	}
	partition := "" // SSOArnLike leaves the partition empty if the element names one
	if e.SSO.Partition == "" {
		partition = "aws"
	}
	return strings.ToLower("arn:" + partition + ":iam::" + e.SSO.AccountID + ":role/AWSReservedSSO_" + e.SSO.PermissionSetName + "_*")
}
