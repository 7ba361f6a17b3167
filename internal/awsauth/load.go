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

// Map is what the authenticator holds in memory after it has read an object
// (pkg/mapper/configmap/configmap.go, ParseMap and saveMap).
type Map struct {
	// Roles and Users hold every element of mapRoles and mapUsers in the order of the text,
	// those that the authenticator drops included, see [Entry.Dropped].
	Roles, Users []Entry
	// Accounts holds the elements of mapAccounts that were kept; those behind an element that
	// cannot be decoded are kept as empty texts.
	Accounts []string

	sections   map[Section]section
	principals []Principal
}

// section is what the authenticator loads from one section.
type section struct {
	text string
	json []byte // what the elements were read from; nil for mapAccounts and lost sections
	lost error  // the whole section is lost; the authenticator loads nothing from it
	stop error  // the section is read up to the element that this error is about; mapAccounts only
	typ  error  // values of a wrong type were passed over

	plain    bool // see plainElements
	entries  []Entry
	keys     index
	accounts []string
	ids      map[string]int // account to its first index in accounts
}

// Entry is one element of mapRoles or mapUsers as the authenticator decodes it.
type Entry struct {
	Section  Section
	Index    int    // in the section, from zero
	ARN      string // rolearn or userarn
	Username string // a template
	Groups   []string
	UserID   string // userid, which this backend ignores
	SSO      *SSO
	// Dropped says why the authenticator does not load the element; empty when it does.
	Dropped string

	shadowedBy   *Entry // what the authenticator stores under the entry's key instead
	principal    ARN
	notPrincipal error    // why ARN is no principal's
	set          []string // see groupSet
}

// Principal is the entry's ARN as [ParseARN] reads it, or its error.
func (e *Entry) Principal() (ARN, error) { return e.principal, e.notPrincipal }

// Path is the entry's place in the object, such as data.mapRoles[1].
func (e *Entry) Path() string { return fmt.Sprintf("%s[%d]", e.Section.Path(), e.Index) }

// ARNKey is the key of the entry's ARN: rolearn or userarn.
func (e *Entry) ARNKey() string { return arnKey(e.Section) }

func arnKey(s Section) string {
	if s == MapUsers {
		return "userarn"
	}
	return "rolearn"
}

// SSO holds the fields of an sso element. Its feature gate SSORoleMatch is off by default and
// nothing turns it on in EKS that is known, so that such an element is kept and never matches
// (pkg/config/features.go).
type SSO struct {
	PermissionSetName string `json:"permissionSetName"`
	AccountID         string `json:"accountID"`
	Partition         string `json:"partition"`
}

// roleElement and userElement have the fields and JSON names of the authenticator's RoleMapping and UserMapping
// (pkg/config/types.go). encoding/json matches them without case.
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

// Load decodes the object as the authenticator does. It never fails: what the authenticator
// cannot read is missing from the Map, as it is missing from the authenticator.
func (o *Object) Load() *Map { return newMap(o.loadSections(o.checkLimits(), nil)) }

// ParseChange parses an object and loads the version that it replaces. Sections that the cache holds are
// not decoded again.
func (c *Cache) ParseChange(before, after *Object) (*Map, *Document) {
	sections := before.loadSections(before.checkLimits(), c)
	m := newMap(after.loadSections(after.checkLimits(), c))
	for s, loaded := range sections {
		// The sections before it may have used up the tokens of one of the two versions only.
		if now, ok := m.sections[s]; ok && now.text == loaded.text && (now.lost == nil) == (loaded.lost == nil) {
			sections[s] = now
		}
	}
	return newMap(sections), after.ParseLoaded(m)
}

// text is the text of a section, or empty if the authenticator takes it for empty.
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

// loadSection decodes a text that is not empty to the authenticator.
func loadSection(s Section, text string) section {
	if s != MapAccounts { // decoded into a list of strings, in which an alias is one text
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
			loaded.entries[i] = Entry{Section: s, Index: i, ARN: e.RoleARN, Username: e.Username, Groups: e.Groups, UserID: e.UserID, SSO: e.SSO, Dropped: e.dropped()}
		}
	case MapUsers:
		elements, decoded := decodeList[userElement](text)
		loaded = decoded
		loaded.entries = make([]Entry, len(elements))
		for i, e := range elements {
			loaded.entries[i] = Entry{Section: s, Index: i, ARN: e.UserARN, Username: e.Username, Groups: e.Groups, UserID: e.UserID, Dropped: e.dropped()}
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
		e.set = groupSet(e.Groups) // a decoded section is shared by reviews, and never changes
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

// Lost returns the error for which nothing is loaded from the section, or nil. It is the
// authenticator's, or that of Unknown.
func (m *Map) Lost(s Section) error { return m.sections[s].lost }

// Unknown returns the error for which it is not known what the authenticator loads from the
// section, or nil: the text is too expensive to evaluate. The Map holds nothing of the section.
func (m *Map) Unknown(s Section) error {
	if err := m.sections[s].lost; errors.Is(err, errExpensive) {
		return err
	}
	return nil
}

// skippable texts are empty to the authenticator (configmap.go, isSkippable).
func skippable(text string) bool {
	switch strings.TrimSpace(text) {
	case "", "``", `""`, "''":
		return true
	}
	return false
}

// errNotAList is wrapped by the loss of a section that is well-formed and no list.
var errNotAList = errors.New("is not a list")

// errJSON is wrapped by the loss of a section that begins with a brace and is no JSON.
var errJSON = errors.New("a text that begins with { is read as JSON")

// decodeList decodes mapRoles or mapUsers: YAML 1.1 to JSON by sigs.k8s.io/yaml, JSON by
// encoding/json, which passes over values of a wrong type. A text whose first byte other than
// white space is { goes to the JSON decoder as it is (apimachinery, pkg/util/yaml, ToJSON).
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

// decodeAccounts decodes mapAccounts, which the authenticator reads with yaml.v2 straight into
// a list of strings: elements of another kind are left out. An element that cannot be decoded, such
// as !!int x, ends the work: the authenticator keeps what is decoded before it, and the elements
// behind are empty. A text that does not parse loses the section.
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

// dropped is the authenticator's RoleMapping.Validate (pkg/config/mapper.go).
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

// dropped is the authenticator's UserMapping.Validate.
func (e userElement) dropped() string {
	if e.UserARN == "" {
		return "has no userarn"
	}
	return ""
}

// key is the key under which the authenticator stores the entry; of equal keys the last entry
// stays. Users' keys keep their case, roles' do not (pkg/config/mapper.go, Key).
func (e *Entry) key() string {
	switch {
	case e.Section == MapUsers:
		return e.ARN
	case e.ARN != "":
		return strings.ToLower(e.ARN)
	}
	partition := "" // a partition that is named is lost: SSOArnLike leaves its variable empty
	if e.SSO.Partition == "" {
		partition = "aws"
	}
	return strings.ToLower("arn:" + partition + ":iam::" + e.SSO.AccountID + ":role/AWSReservedSSO_" + e.SSO.PermissionSetName + "_*")
}
