package oracle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	guard "github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// checkLogin is the promise that the guard knows how a caller logs in, from both sources of access.
const checkLogin = "login"

// LoginChecker compares the guard's logins with those of the authenticator. It serves one goroutine at a time.
type LoginChecker struct {
	a     *authenticator.Sources
	forms forms
	Stats Stats
}

// NewLoginChecker starts the backends of both sources.
func NewLoginChecker() (*LoginChecker, error) {
	a, err := authenticator.NewSources()
	if err != nil {
		return nil, err
	}
	return &LoginChecker{a: a, forms: make(forms), Stats: make(Stats)}, nil
}

// Close stops the backends.
func (k *LoginChecker) Close() { k.a.Close() }

func (k *LoginChecker) statistics() Stats { return k.Stats }

// RunLogins checks the new versions of the first changes of the source, with one checker for each worker. pairs is the
// number of changes. The number of workers doesn't affect the checks. It returns at most one failure of each kind.
func RunLogins(s *Source, pairs, workers int) (Stats, []FoundFailure, error) {
	found := newFoundFailures()
	stats, err := checkInParallel(pairs, workers, NewLoginChecker, func(checker *LoginChecker, index int) {
		change := s.Change(index)
		r := rand.New(rand.NewPCG(s.Seed, uint64(index)|1<<62)) //nolint:gosec // every run must be the same
		for _, f := range checker.Check(r, change.New) {
			found.add(FoundFailure{Failure: f, Index: index, Change: change})
		}
	})
	for _, n := range found.counts {
		stats["disagreements"] += n
	}
	return stats, found.sorted(), err
}

// RequiredLogins returns the names in the statistics that every run must contain.
func RequiredLogins() []string {
	names := []string{"logins at random", "logins refused by access entry", "logins refused by mapRoles"}
	for _, source := range []string{"none", "access entry", "mapRoles", "mapUsers", "mapAccounts"} {
		names = append(names, "logins of "+source)
	}
	for _, order := range authenticator.Orders() {
		names = append(names, "order "+order)
	}
	return names
}

// maxCallers limits the callers of one object. More callers would take most of the time of the test, without finding more
// disagreements.
const maxCallers = 6

// Check makes access entries for an object and picks some callers. It lets each caller log in with the backends in every
// order, and returns the first disagreement for each order. In the statistics, each caller is a case.
func (k *LoginChecker) Check(r *rand.Rand, data map[string]string) (failures []Failure) {
	v := newVersion(data)
	callers := append(k.forms.of(v.arns), "arn:aws:iam::999999999999:user/absent", "arn:aws:sts::111122223333:assumed-role/absent/alice")
	r.Shuffle(len(callers), func(i, j int) { callers[i], callers[j] = callers[j], callers[i] })
	callers = callers[:min(len(callers), maxCallers)]
	entries := newAccessEntries(r, callers)
	k.a.Load(data)
	var loaded []authenticator.Entry
	for _, e := range entries {
		loaded = append(loaded, authenticator.Entry{ARN: e.PrincipalARN, Username: e.Username, Groups: e.Groups})
	}
	if err := k.a.LoadEntries(loaded); err != nil {
		return []Failure{{checkLogin, "access entries", err.Error()}}
	}
	object := (&awsauth.Object{Data: data}).Load()
	k.Stats["cases"] += len(callers)
	for _, order := range authenticator.Orders() {
		for _, caller := range callers {
			got := guardLogin(order, entries, object, caller)
			if got.Unknown != "" && mayPassLimit(data) {
				k.Stats.add("logins unknown")
				continue
			}
			source, want := k.a.Logins(order, caller)
			k.count(order, source, want)
			if string(got.Source) == source && sameLogins(loginsOf(got), want) && got.Unknown == "" {
				continue
			}
			failures = append(failures, Failure{checkLogin, order, fmt.Sprintf(
				"%s: the guard: %+v\nthe authenticator: %q %+v\naccess entries: %+v\naws-auth: %q", caller, got, source, want, entries, data)})
			break
		}
	}
	return failures
}

// count adds a login to the statistics.
func (k *LoginChecker) count(order, source string, logins []authenticator.Login) {
	if source == "" {
		source = "none"
	}
	k.Stats.add("logins of " + source)
	if source != "none" && !logins[0].OK {
		k.Stats.add("logins refused by " + source)
	}
	if len(logins) > 1 {
		k.Stats.add("logins at random")
	}
	k.Stats.add("order " + order)
}

// guardLogin returns the login according to the guard. EKS has no mode that asks aws-auth first. For this order, guardLogin
// asks the access entries about the callers that aws-auth doesn't know.
func guardLogin(order string, entries []guard.AccessEntry, m *awsauth.Map, caller string) guard.Login {
	c := guard.NewCaller(caller)
	c.AccessKeyID = authenticator.AccessKey
	in := func(mode guard.Mode) guard.Login {
		return guard.NewEntries(&guard.Cluster{Mode: mode, AccessEntries: entries}, nil).Login(m, c)
	}
	switch order {
	case authenticator.OnlyAWSAuth:
		return in(guard.ModeConfigMap)
	case authenticator.OnlyEntries:
		return in(guard.ModeAPI)
	case authenticator.EntriesFirst:
		return in(guard.ModeAPIAndConfigMap)
	}
	if l := in(guard.ModeConfigMap); l.Source != guard.SourceNone || l.Unknown != "" {
		return l
	}
	return in(guard.ModeAPI)
}

// loginsOf returns the guard's login in the form of the authenticator's logins. It inserts the private DNS name of an
// instance, because the guard leaves the template of the name in place.
func loginsOf(l guard.Login) (logins []authenticator.Login) {
	name := func(s string) string {
		return strings.ReplaceAll(s, awsauth.InstanceTemplate, authenticator.PrivateDNSName)
	}
	for _, u := range l.Users {
		groups := make([]string, len(u.Groups))
		for i, g := range u.Groups {
			groups[i] = name(g)
		}
		logins = append(logins, authenticator.Login{OK: true, Username: name(u.Username), Groups: groups})
	}
	if l.Admitted < guard.Always {
		logins = append(logins, authenticator.Login{})
	}
	return logins
}

func sameLogins(a, b []authenticator.Login) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(l authenticator.Login) bool { return !slices.ContainsFunc(b, l.Equal) })
}

// newAccessEntries returns random access entries for some of the callers. As in EKS, a role or a user has at most one
// access entry, and only a role has one for nodes.
func newAccessEntries(r *rand.Rand, callers []string) (entries []guard.AccessEntry) {
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	byID := make(map[string]guard.AccessEntry)
	for _, caller := range callers {
		e := guard.AccessEntry{PrincipalARN: canonical(caller), Type: "STANDARD"}
		role := strings.Contains(e.PrincipalARN, ":role/")
		if r.IntN(2) == 0 || !role && !strings.Contains(e.PrincipalARN, ":user/") {
			continue
		}
		e.Username = pick(caller, "ops", "ops:{{SessionName}}", "raw:{{SessionNameRaw}}", "team-{{AccountID}}", "key:{{AccessKeyID}}", "{{unknown}}")
		for range r.IntN(3) {
			e.Groups = append(e.Groups, pick("viewers", "team:{{AccountID}}", "of:{{SessionName}}", "dns:{{EC2PrivateDNSName}}", ""))
		}
		if kind := r.IntN(6); role && kind == 0 {
			e.Type, e.Username, e.Groups = "EC2_LINUX", "system:node:{{EC2PrivateDNSName}}", []string{"system:nodes"}
		} else if role && kind == 1 {
			e.Type, e.Username, e.Groups = "FARGATE_LINUX", "system:node:{{SessionName}}", []string{"system:nodes", "system:node-proxier"}
		}
		if role {
			e.PrincipalARN = strings.Replace(e.PrincipalARN, ":role/", pick(":role/", ":role/", ":role/path/", ":role/aws-reserved/sso.amazonaws.com/"), 1)
		}
		byID[authenticator.UniqueID(e.PrincipalARN)] = e
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		entries = append(entries, byID[id])
	}
	return entries
}
