package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// describedEntry is an access entry as the AWS CLI prints it (EKS API reference, AccessEntry). It has only the fields that
// DecodeEntries reads.
type describedEntry struct {
	PrincipalARN string          `json:"principalArn"`
	Type         *string         `json:"type"`
	Username     string          `json:"username"`
	Groups       []string        `json:"kubernetesGroups"`
	CreatedAt    json.RawMessage `json:"createdAt"`
}

// describedPolicy is an access policy as aws eks list-associated-access-policies prints it (EKS API reference,
// AssociatedAccessPolicy).
type describedPolicy struct {
	ARN   string `json:"policyArn"`
	Scope struct {
		Type       string   `json:"type"`
		Namespaces []string `json:"namespaces"`
	} `json:"accessScope"`
}

// element is an element of the input of [DecodeEntries].
type element struct {
	AccessEntry *describedEntry `json:"accessEntry"`
	describedEntry
	Policies *[]describedPolicy `json:"associatedAccessPolicies"`
}

// DecodeEntries decodes access entries that the AWS CLI prints as JSON. The input is a list of elements, or several
// elements and lists that follow each other. An element is one of these:
//
//   - the output of aws eks describe-access-entry, with or without its field accessEntry; it may also have the field
//     associatedAccessPolicies
//   - the output of aws eks list-associated-access-policies, which completes the access entry of its principal
//
// DecodeEntries combines several elements for one principal, such as the pages of a list. The access entries are in the
// order in which the input first has their principals. If the input lacks the username, the groups, the type or the
// policies of an access entry, Unknown has the name of this field. The policies of an access entry for nodes never count
// as unknown.
//
// DecodeEntries returns an error for an input of another form. It also returns an error for an empty input, because only
// a command that failed prints nothing. For a cluster without access entries the input is an empty list.
func DecodeEntries(src []byte) ([]AccessEntry, error) {
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // PowerShell writes a byte order mark
	if len(bytes.TrimSpace(src)) == 0 {
		return nil, errors.New("it is empty; did the command that wrote it fail? A cluster without access entries has an empty list, []")
	}
	d := &entryDecoder{at: make(map[string]int), policyAt: make(map[policyKey]int)}
	decoder := json.NewDecoder(bytes.NewReader(src))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return d.finish(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		list := []json.RawMessage{value}
		if bytes.HasPrefix(value, []byte("[")) {
			if err := json.Unmarshal(value, &list); err != nil {
				return nil, fmt.Errorf("it is not JSON: %w", err)
			}
		}
		for _, text := range list {
			if err := d.add(text); err != nil {
				return nil, fmt.Errorf("element %d %w", d.count, err)
			}
			d.count++
		}
	}
}

type entryDecoder struct {
	entries []AccessEntry
	fields  []fields       // the fields that the input has for each element of entries
	at      map[string]int // maps the ARN of a principal to the index in entries
	// policyAt maps an access policy to its index in the access entry.
	policyAt map[policyKey]int
	count    int // the number of elements so far, which is also the index of the next element
}

// policyKey identifies an access policy by the index of its access entry and its ARN.
type policyKey struct {
	entry int
	arn   string
}

// fields tells which fields the input has for an access entry. kind stands for the type.
type fields struct{ kind, username, groups, policies bool }

var errNoEntry = errors.New("has no principalArn; an element is the output of aws eks describe-access-entry")

func (d *entryDecoder) add(text json.RawMessage) error {
	var e element
	if err := json.Unmarshal(text, &e); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]
			return fmt.Errorf("has the field %s, which is a JSON %s and not as the AWS CLI prints it", field, wrong.Value)
		}
		return errNoEntry
	}
	described := e.AccessEntry
	if described == nil && e.PrincipalARN != "" {
		described = &e.describedEntry
	}
	if described == nil || described.PrincipalARN == "" {
		return errNoEntry
	}
	i, again := d.at[described.PrincipalARN]
	if !again {
		i = len(d.entries)
		d.at[described.PrincipalARN] = i
		d.entries = append(d.entries, AccessEntry{PrincipalARN: described.PrincipalARN})
		d.fields = append(d.fields, fields{})
	}
	d.describe(i, described)
	if e.Policies == nil {
		return nil
	}
	d.fields[i].policies = true
	return d.addPolicies(i, *e.Policies)
}

// describe adds the fields of aws eks describe-access-entry to an access entry.
func (d *entryDecoder) describe(i int, described *describedEntry) {
	entry, has := &d.entries[i], &d.fields[i]
	if described.Type != nil {
		entry.Type, has.kind = *described.Type, true
	}
	if described.Username != "" { // every access entry has a username, so an empty one is unknown
		entry.Username, has.username = described.Username, true
	}
	if described.Groups != nil {
		entry.Groups, has.groups = described.Groups, true
	}
	if at := described.created(); !at.IsZero() {
		entry.Created = at
	}
}

// addPolicies adds access policies to an access entry. It replaces a policy that the access entry already has, because
// EKS associates a policy only once.
func (d *entryDecoder) addPolicies(i int, policies []describedPolicy) error {
	entry := &d.entries[i]
	for _, p := range policies {
		switch {
		case p.ARN == "":
			return errors.New("has an access policy without policyArn")
		case p.Scope.Type != ScopeCluster && p.Scope.Type != scopeNamespace:
			return fmt.Errorf("has the access policy %s with the accessScope.type %q, which is neither %s nor %s", p.ARN, p.Scope.Type, ScopeCluster, scopeNamespace)
		}
		policy := AccessPolicy{ARN: p.ARN, Scope: p.Scope.Type, Namespaces: p.Scope.Namespaces}
		key := policyKey{i, p.ARN}
		if at, again := d.policyAt[key]; again {
			entry.Policies[at] = policy
			continue
		}
		d.policyAt[key] = len(entry.Policies)
		entry.Policies = append(entry.Policies, policy)
	}
	return nil
}

// created returns the time at which the access entry was created, or the zero time if the input doesn't have it.
// Version 2 of the AWS CLI prints a text, and version 1 a number of seconds.
func (d *describedEntry) created() time.Time {
	var at time.Time
	var seconds float64
	switch {
	case json.Unmarshal(d.CreatedAt, &at) == nil:
	case json.Unmarshal(d.CreatedAt, &seconds) == nil:
		at = time.UnixMilli(int64(seconds * 1000)).UTC()
	}
	return at
}

// The names of fields in Unknown of [AccessEntry], [Grant] and the output of kubectl awsauth get.
const (
	FieldUsername = "username"
	FieldGroups   = "groups"
	FieldPolicies = "policies"
	FieldAdmin    = "admin"
	FieldNode     = "node"
	FieldRoles    = "roles"
)

func (d *entryDecoder) finish() []AccessEntry {
	for i := range d.entries {
		e, has := &d.entries[i], &d.fields[i]
		for _, field := range []struct {
			known bool
			name  string
		}{{has.username, FieldUsername}, {has.groups, FieldGroups}, {has.kind, FieldNode}, {has.policies || e.IsNode(), FieldPolicies}} {
			if !field.known {
				e.Unknown = append(e.Unknown, field.name)
			}
		}
	}
	return d.entries
}
