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

// describedEntry has the fields of an access entry as the AWS CLI prints them (EKS API reference, AccessEntry).
type describedEntry struct {
	PrincipalARN string          `json:"principalArn"`
	Type         *string         `json:"type"`
	Username     string          `json:"username"`
	Groups       []string        `json:"kubernetesGroups"`
	CreatedAt    json.RawMessage `json:"createdAt"`
}

// describedPolicy is an access policy as aws eks list-associated-access-policies prints it (EKS API reference, AssociatedAccessPolicy).
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

// DecodeEntries decodes access entries as the AWS CLI prints them as JSON: a list, or one value after the other. A value is the output of
// aws eks describe-access-entry, with or without its field accessEntry, and may have the field associatedAccessPolicies beside. It may
// also be the output of aws eks list-associated-access-policies, which completes the access entry of its principal. The entries are in
// the order of the input. A field that the input doesn't have is in Unknown.
func DecodeEntries(src []byte) ([]AccessEntry, error) {
	d := &entryDecoder{at: make(map[string]int)}
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
	entries                []AccessEntry
	described, hasPolicies []bool         // by index in entries
	at                     map[string]int // the index of a principal
	count                  int            // of elements
}

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
		d.described, d.hasPolicies = append(d.described, false), append(d.hasPolicies, false)
	}
	entry := &d.entries[i]
	if described.Type != nil || described.Username != "" || described.Groups != nil {
		d.described[i] = true
		entry.Type, entry.Username, entry.Groups, entry.Created = "STANDARD", described.Username, described.Groups, described.created()
		if described.Type != nil {
			entry.Type = *described.Type
		}
	}
	if e.Policies != nil {
		d.hasPolicies[i] = true
		entry.Policies = nil
		for _, p := range *e.Policies {
			entry.Policies = append(entry.Policies, AccessPolicy{ARN: p.ARN, Scope: p.Scope.Type, Namespaces: p.Scope.Namespaces})
		}
	}
	return nil
}

// created returns the time at which the access entry was created, or the zero time. Version 2 of the AWS CLI prints a text, version 1 a
// number of seconds.
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

// The names of fields in Unknown.
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
		e := &d.entries[i]
		if !d.described[i] {
			e.Unknown = append(e.Unknown, FieldUsername, FieldGroups, FieldNode)
		}
		if !d.hasPolicies[i] && !e.IsNode() {
			e.Unknown = append(e.Unknown, FieldPolicies)
		}
	}
	return d.entries
}
