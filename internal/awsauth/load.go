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
	// Accounts holds the elements of mapAccounts that were kept.
	Accounts []string

	decoded    map[Section]decoded
	roleKeys   index
	userKeys   index
	principals []Principal
	accounts   map[string]int // account to its first index in Accounts
}

// decoded is the outcome of decoding one section.
type decoded struct {
	json []byte // what the elements were read from; nil for mapAccounts and lost sections
	lost error  // the whole section is lost; the authenticator loads nothing from it
	typ  error  // values of a wrong type were passed over
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
}

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
func (o *Object) Load() *Map {
	m := &Map{decoded: make(map[Section]decoded, 3)}
	if o == nil {
		return m
	}
	if text, ok := o.Data[string(MapRoles)]; ok && !skippable(text) {
		elements, d := decodeList[roleElement](text)
		m.decoded[MapRoles] = d
		m.Roles = make([]Entry, len(elements))
		for i, e := range elements {
			m.Roles[i] = Entry{MapRoles, i, e.RoleARN, e.Username, e.Groups, e.UserID, e.SSO, e.dropped()}
		}
	}
	if text, ok := o.Data[string(MapUsers)]; ok && !skippable(text) {
		elements, d := decodeList[userElement](text)
		m.decoded[MapUsers] = d
		m.Users = make([]Entry, len(elements))
		for i, e := range elements {
			m.Users[i] = Entry{MapUsers, i, e.UserARN, e.Username, e.Groups, e.UserID, nil, e.dropped()}
		}
	}
	if text, ok := o.Data[string(MapAccounts)]; ok && !skippable(text) {
		accounts, d := decodeAccounts(text)
		m.decoded[MapAccounts], m.Accounts = d, accounts
	}
	m.roleKeys, m.userKeys = newIndex(m.Roles), newIndex(m.Users)
	m.principals = m.listPrincipals()
	m.accounts = make(map[string]int, len(m.Accounts))
	for i, account := range m.Accounts {
		if _, ok := m.accounts[account]; !ok {
			m.accounts[account] = i
		}
	}
	return m
}

// Lost returns the error for which the authenticator loads nothing from the section, or nil.
func (m *Map) Lost(s Section) error { return m.decoded[s].lost }

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
func decodeList[T any](text string) ([]T, decoded) {
	data := []byte(text)
	if !bytes.HasPrefix(bytes.TrimLeftFunc(data, unicode.IsSpace), []byte("{")) {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, decoded{lost: err}
		}
	}
	var elements []T
	err := json.Unmarshal(data, &elements)
	var typeError *json.UnmarshalTypeError
	switch {
	case err == nil:
		return elements, decoded{json: data}
	case !errors.As(err, &typeError):
		return nil, decoded{lost: fmt.Errorf("%w: %w", errJSON, err)}
	case data[0] != '[':
		return nil, decoded{lost: fmt.Errorf("%w: %w", errNotAList, err)}
	}
	return elements, decoded{json: data, typ: err}
}

// decodeAccounts decodes mapAccounts, which the authenticator reads with yaml.v2 straight into
// a list of strings: elements of another kind are left out, any other error loses the section.
func decodeAccounts(text string) ([]string, decoded) {
	var accounts []string
	err := yamlv2.Unmarshal([]byte(text), &accounts)
	var typeError *yamlv2.TypeError
	switch {
	case err == nil:
		return accounts, decoded{}
	case !errors.As(err, &typeError):
		return nil, decoded{lost: err}
	case accounts == nil:
		return nil, decoded{lost: fmt.Errorf("%w: %w", errNotAList, err)}
	}
	return accounts, decoded{typ: err}
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
