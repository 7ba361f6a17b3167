package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// The kinds of changes of access.
const (
	gained  = "gained"  // the principal could not log in before
	lost    = "lost"    // the principal can no longer log in
	changed = "changed" // the principal logs in with another username or other groups, or only its EC2 instances still can log in
)

// Text writes a line with the names of the two versions, and then a block of lines for each change. The first line of a block has a sign
// for the kind of change and the ARN. The next lines have the username and the groups.
func (a Access) Text(w io.Writer) error {
	var b strings.Builder
	a.text(&b)
	return flush(w, &b)
}

func (a Access) text(b *strings.Builder) {
	to := OneLine(a.New)
	switch {
	case a.Resource != "":
		to += ": " + OneLine(a.Resource)
	case a.Line > 0:
		to += fmt.Sprintf(":%d", a.Line)
	}
	fmt.Fprintf(b, "access: %s → %s\n", OneLine(a.Old), to)
	if len(a.Changes) == 0 {
		b.WriteString("    no principal gains or loses access\n")
	}
	for _, c := range a.Changes {
		writeChange(b, c)
	}
}

var signs = map[string]string{gained: "+", lost: "-", changed: "~"}

func writeChange(b *strings.Builder, c awsauth.AccessChange) {
	if isAccount(c) {
		fmt.Fprintf(b, "%s every principal of the account %s\n    username: their own ARN\n    groups:   none\n", signs[changeOf(c)], OneLine(c.ARN))
		return
	}
	fmt.Fprintf(b, "%s %s\n", signs[changeOf(c)], OneLine(c.ARN))
	usernames := func(entries []*awsauth.Entry) string {
		if len(entries) == 0 { // mapAccounts maps the principal
			return OneLine(c.ARN)
		}
		return alternatives(entries, func(e *awsauth.Entry) string { return e.Username })
	}
	groups := func(entries []*awsauth.Entry) string {
		return alternatives(entries, func(e *awsauth.Entry) string { return strings.Join(groupsOf(e), ", ") })
	}
	fmt.Fprintf(b, "    username: %s\n", beforeAfter(c, usernames))
	fmt.Fprintf(b, "    groups:   %s\n", beforeAfter(c, groups))
	if changeOf(c) != changed {
		return
	}
	if c.InstancesOnly {
		b.WriteString("    only EC2 instances can log in by it now, because of {{EC2PrivateDNSName}}\n")
	}
	for _, l := range []struct {
		name   string
		groups []string
	}{{"gains", c.Gained}, {"loses", c.Lost}} {
		if len(l.groups) > 0 {
			fmt.Fprintf(b, "    %s:    %s\n", l.name, OneLine(strings.Join(l.groups, ", ")))
		}
	}
}

// beforeAfter returns the values before and after a change as text, with an arrow between them. If both values are equal, or if the
// principal can log in only before or only after the change, it returns a single value.
func beforeAfter(c awsauth.AccessChange, value func([]*awsauth.Entry) string) string {
	before, after := value(c.Before), value(c.After)
	switch {
	case changeOf(c) == gained, before == after:
		return after
	case changeOf(c) == lost:
		return before
	}
	return before + " → " + after
}

// alternatives returns the values of several entries as text, with "or" between them. The authenticator picks one of these entries at
// random.
func alternatives(entries []*awsauth.Entry, value func(*awsauth.Entry) string) string {
	if len(entries) == 0 {
		return "none"
	}
	var list []string
	for _, e := range entries {
		text := OneLine(value(e))
		if text == "" {
			text = "none"
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, " or ")
}

// groupsOf returns the groups of an entry, sorted and without duplicates.
func groupsOf(e *awsauth.Entry) []string {
	groups := append([]string{}, e.Groups...)
	slices.Sort(groups)
	return slices.Compact(groups)
}

func changeOf(c awsauth.AccessChange) string {
	switch {
	case c.New && !c.ByAccount:
		return gained
	case c.Gone && !c.ByAccount:
		return lost
	}
	return changed
}

// isAccount reports whether the change adds an account to mapAccounts or removes one. Such a change concerns all principals of the
// account.
func isAccount(c awsauth.AccessChange) bool { return len(c.Before) == 0 && len(c.After) == 0 }

// jsonAccess is the change of access of one principal, or of an account in mapAccounts.
//
// Before and After are the logins of the principal before and after the change. They have several elements if the authenticator picks
// one of several entries at random. They are empty if the principal can't log in, and always for an account.
type jsonAccess struct {
	File      string      `json:"file,omitempty"`     // the file of the new version; only for lint
	Line      int         `json:"line,omitempty"`     // see Access
	Resource  string      `json:"resource,omitempty"` // see Access
	Principal string      `json:"principal"`          // an ARN or an account id
	Change    string      `json:"change"`             // gained, lost or changed
	Before    []jsonLogin `json:"before"`
	After     []jsonLogin `json:"after"`
	Gained    []string    `json:"gained"` // groups
	Lost      []string    `json:"lost"`   // groups
}

type jsonLogin struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func (a Access) json(file string) []jsonAccess {
	list := make([]jsonAccess, len(a.Changes))
	for i, c := range a.Changes {
		list[i] = jsonAccess{
			File: file, Line: a.Line, Resource: a.Resource, Principal: c.ARN, Change: changeOf(c), Before: logins(c.Before), After: logins(c.After),
			Gained: append([]string{}, c.Gained...), Lost: append([]string{}, c.Lost...),
		}
		if c.ByAccount && c.New {
			list[i].Before = byAccount(c.ARN)
		} else if c.ByAccount {
			list[i].After = byAccount(c.ARN)
		}
	}
	return list
}

// byAccount returns the login of a principal that only mapAccounts maps. The username is the ARN, and there are no groups.
func byAccount(arn string) []jsonLogin { return []jsonLogin{{arn, []string{}}} }

func logins(entries []*awsauth.Entry) []jsonLogin {
	list := make([]jsonLogin, len(entries))
	for i, e := range entries {
		list[i] = jsonLogin{e.Username, groupsOf(e)}
	}
	return list
}

// JSON writes the changes as a JSON object. Its field changes is an empty list if there are no changes.
func (a Access) JSON(w io.Writer) error {
	return writeJSON(w, struct {
		Changes []jsonAccess `json:"changes"`
	}{a.json("")})
}
