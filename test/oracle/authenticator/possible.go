package authenticator

import (
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
)

// Stored holds the keys of the authenticator's tables: of roles in lower case, of users as they are written.
type Stored struct{ Roles, Users, Accounts []string }

// Stored returns the keys of what the authenticator has in memory. Its tables are not exported.
func (a *Authenticator) Stored() Stored {
	if a.stored == nil {
		store := reflect.ValueOf(a.mapper.MapStore).Elem()
		keys := func(table string) []string {
			var list []string
			for _, key := range store.FieldByName(table).MapKeys() {
				list = append(list, key.String())
			}
			return list
		}
		a.stored = &Stored{keys("roles"), keys("users"), keys("awsAccounts")}
	}
	return *a.stored
}

// Read returns the elements of mapAccounts as they have been read, and what the authenticator logs about
// the object that is loaded: that something in it could not be read.
func (a *Authenticator) Read() (accounts []string, err error) {
	_, _, accounts, err = configmap.ParseMap(a.data)
	return accounts, err
}

// Possible returns every answer that the authenticator may give to a caller, in no order. It asks
// once, and many times where mappings differ in nothing but the case of their ARNs.
func (a *Authenticator) Possible(callerARN string) []Answer {
	answers := []Answer{a.Resolve(callerARN)}
	if !answers[0].Mapped || !a.random(answers[0].Canonical) {
		return answers
	}
	for range a.asked() {
		answer := a.Resolve(callerARN)
		if !slices.ContainsFunc(answers, answer.Equal) {
			answers = append(answers, answer)
		}
	}
	return answers
}

// asked is how often a caller is asked for whose answer is picked at random. The authenticator goes
// through a Go map from a random slot on, and a map has at most two slots for an element, and at least
// eight. An answer's share is at least one slot, so that asking 24 times for each misses one in e^24.
func (a *Authenticator) asked() int {
	stored := a.Stored()
	return 24 * max(8, 2*len(stored.Users), 2*len(stored.Roles))
}

// random reports whether more than one mapping that is stored matches a canonical ARN.
func (a *Authenticator) random(canonical string) bool {
	matches := func(keys []string) int {
		n := 0
		for _, key := range keys {
			if strings.EqualFold(key, canonical) {
				n++
			}
		}
		return n
	}
	if n := matches(a.Stored().Roles); n > 0 { // mapRoles is asked first
		return n > 1
	}
	return matches(a.Stored().Users) > 1
}
