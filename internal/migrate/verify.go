package migrate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Verification has a comparison for each principal. It compares the access by aws-auth alone with the access in the two modes that have
// access entries.
type Verification struct {
	// Principals has the principals of aws-auth in the order in which the authenticator searches them, then the accounts of mapAccounts,
	// and then the principals that have only an access entry. The list is never nil.
	Principals []Check `json:"principals"`
}

// Check is the comparison for one principal.
type Check struct {
	// PrincipalARN is the ARN of the principal, or an account of mapAccounts.
	PrincipalARN string `json:"principalArn"`
	// Result combines the results in both modes.
	Result          Result `json:"result"`
	APIAndConfigMap Effect `json:"apiAndConfigMap"`
	API             Effect `json:"api"` // the effect that the mode API has or would have
	// LosesLogin reports whether the principal can log in in mode API_AND_CONFIG_MAP but not in mode API.
	LosesLogin bool `json:"losesLogin"`
	// Stale is the reason why the principal's access entry matches no caller, or empty.
	Stale string `json:"stale,omitempty"`
	// Unknown is the reason why the comparison is uncertain, or empty.
	Unknown string `json:"unknown,omitempty"`
}

// Effect is the difference between the access by aws-auth alone and the access in one mode.
type Effect struct {
	Result Result   `json:"result"`
	Gained []string `json:"gained"`
	Lost   []string `json:"lost"`
}

// Result classifies the difference in the access of a principal.
type Result string

// The results of a comparison.
const (
	ResultEqual   Result = "equal"
	ResultGains   Result = "gains"
	ResultLoses   Result = "loses"
	ResultChanges Result = "changes"    // the principal gains some rights and loses others
	ResultStale   Result = "staleEntry" // the access entry of the principal matches no caller
	ResultUnknown Result = "unknown"
)

// login is the right to log in, as a phrase like the other rights.
const login = "the login"

// Verify compares the access by aws-auth alone with the access by aws-auth and access entries. It ignores stale access entries. partition
// is the cluster's partition, or empty if it is not known. Verify leaves out principals of aws-auth in another partition, because they
// can't log in.
func Verify(d *awsauth.Document, entries []access.AccessEntry, partition string) Verification {
	v := verifier{document: d, result: Verification{Principals: []Check{}}}
	matching := slices.DeleteFunc(slices.Clone(entries), func(e access.AccessEntry) bool { return e.Stale != "" })
	v.both = access.NewEntries(&access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: matching}, nil)
	v.api = access.NewEntries(&access.Cluster{Mode: access.ModeAPI, AccessEntries: matching}, nil)
	byKey := make(map[string]*access.AccessEntry, len(entries))
	for i := range entries {
		byKey[awsauth.PrincipalKey(entries[i].PrincipalARN)] = &entries[i]
	}
	seen := make(map[string]bool)
	for _, p := range d.Map.Principals() {
		key := awsauth.PrincipalKey(p.ARN)
		seen[key] = true
		if arn, err := p.Matches[0].Principal(); err == nil && (partition == "" || arn.Partition == partition) {
			v.check(p.ARN, byKey[key])
		}
	}
	for _, account := range d.Map.AllowedAccounts() {
		effect := newEffect(rights{login + " of every principal of the account": true}, nil)
		v.result.Principals = append(v.result.Principals, Check{
			PrincipalARN: account, Result: effect.Result, APIAndConfigMap: newEffect(nil, nil), API: effect, LosesLogin: true,
		})
	}
	for i := range entries {
		if key := awsauth.PrincipalKey(entries[i].PrincipalARN); !seen[key] {
			seen[key] = true
			v.check(entries[i].PrincipalARN, &entries[i])
		}
	}
	return v.result
}

type verifier struct {
	document  *awsauth.Document
	both, api access.Entries
	result    Verification
}

// check adds the Check of a principal to the result. entry is the principal's access entry, or nil if it has none.
func (v *verifier) check(arn string, entry *access.AccessEntry) {
	caller := access.NewCaller(arn)
	alone := access.NewEntries(nil, nil)
	before, both, api := v.rights(alone, caller), v.rights(v.both, caller), v.rights(v.api, caller)
	c := Check{PrincipalARN: arn, APIAndConfigMap: newEffect(before, both), API: newEffect(before, api)}
	c.Result = combine(c.APIAndConfigMap.Result, c.API.Result)
	c.LosesLogin = both[login] && !api[login]
	if entry != nil {
		c.PrincipalARN = entry.PrincipalARN
		if entry.Stale != "" {
			c.Stale, c.Result = entry.Stale, ResultStale
		}
		if len(entry.Unknown) > 0 {
			c.Unknown = "the access entry has fields that can't be read"
		}
	}
	if r := v.document.Map.Resolve(caller.ARN); r.Unknown != "" {
		c.Unknown = r.Unknown
	}
	if c.Unknown != "" {
		c.Result = ResultUnknown
	}
	v.result.Principals = append(v.result.Principals, c)
}

// rights returns the rights of a caller by aws-auth and these access entries. It returns nil if the caller can't log in.
func (v *verifier) rights(entries access.Entries, c access.Caller) rights {
	l := entries.Login(v.document.Map, c)
	if l.Admitted == access.Never {
		return nil
	}
	if l.Source == access.SourceAccessEntry {
		r := byEntry(entries.Get(c.ARN))
		r[login] = true
		return r
	}
	var all []rights
	for _, u := range l.Users {
		r := make(rights)
		r.add(u.Username, u.Groups)
		all = append(all, r)
	}
	r := merge(all)
	r[login] = true
	return r
}

// newEffect returns the difference between the rights before and after.
func newEffect(before, after rights) Effect {
	gained, lost := diff(before, after)
	e := Effect{Result: ResultEqual, Gained: append([]string{}, gained...), Lost: append([]string{}, lost...)}
	switch {
	case len(gained) > 0 && len(lost) > 0:
		e.Result = ResultChanges
	case len(gained) > 0:
		e.Result = ResultGains
	case len(lost) > 0:
		e.Result = ResultLoses
	}
	return e
}

// combine returns the result for a principal from the results in two modes. If both are the same, it returns this result. If one of them
// is ResultEqual, it returns the other. Otherwise it returns ResultChanges.
func combine(a, b Result) Result {
	switch {
	case a == b, b == ResultEqual:
		return a
	case a == ResultEqual:
		return b
	}
	return ResultChanges
}
