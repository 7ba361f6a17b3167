package authenticator

import (
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
)

// Stored holds the keys of the authenticator's tables. The keys of roles are in lower case, and those of users are unchanged.
type Stored struct{ Roles, Users, Accounts []string }

// Stored returns the keys of the authenticator's tables in memory. It reads them by reflection, because the tables are not
// exported.
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

// ParseLoaded parses the loaded object with the authenticator's code. It returns the elements of mapAccounts, and the error
// that the authenticator logs if it can't read a part of the object.
func (a *Authenticator) ParseLoaded() (accounts []string, err error) {
	_, _, accounts, err = configmap.ParseMap(a.data)
	return accounts, err
}

// Possible returns every answer that the authenticator can give to a caller, in random order. If several stored mappings
// match the caller, it resolves the caller many times, because each call of Resolve picks one of them at random.
func (a *Authenticator) Possible(callerARN string) []Answer {
	answers := []Answer{a.Resolve(callerARN)}
	if !answers[0].Mapped || !a.ambiguous(answers[0].Canonical) {
		return answers
	}
	for range a.tries() {
		answer := a.Resolve(callerARN)
		if !slices.ContainsFunc(answers, answer.Equal) {
			answers = append(answers, answer)
		}
	}
	return answers
}

// tries returns how many times to resolve a caller with a random answer. The authenticator iterates over a Go map from a
// random slot. A map has eight slots, or at most 16/7 slots for each element, because Go doubles the slots when 7/8 of them
// are full. A try finds an answer with a probability of at least one in the number of slots. With 48 tries for each element,
// the probability of missing an answer is less than e^-20.
func (a *Authenticator) tries() int {
	stored := a.Stored()
	return 24 * max(8, 2*len(stored.Users), 2*len(stored.Roles))
}

// ambiguous reports whether more than one stored mapping matches a canonical ARN. Like the authenticator, it first converts
// the ARN with strings.ToLower, which turns U+0130 into i.
func (a *Authenticator) ambiguous(canonical string) bool {
	canonical = strings.ToLower(canonical)
	matches := func(keys []string) int {
		n := 0
		for _, key := range keys {
			if strings.EqualFold(key, canonical) {
				n++
			}
		}
		return n
	}
	if n := matches(a.Stored().Roles); n > 0 { // the authenticator looks in mapRoles first
		return n > 1
	}
	return matches(a.Stored().Users) > 1
}
