package efficacy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// Consequence is the effect of a change on the authenticator if the cluster has no guard.
type Consequence struct {
	// Logged reports whether the authenticator writes an error to its log. The authenticator never refuses a change.
	Logged bool
	// What describes each effect on principals and ARNs. It is empty if every principal logs in as the text says.
	What []string
}

// bare is the released authenticator in a cluster without the guard.
type bare struct {
	*authenticator.Authenticator
	change validate.Change
}

// consequence describes the effects of the change in a few fixed sentences with numbers. It resolves the principals of the old
// text before and after the change, and then the principals of the new text after the change.
func (b *bare) consequence() (Consequence, error) {
	before := callers(oldData(b.change))
	b.Load(oldData(b.change))
	was := b.answers(before)
	if b.change.Operation == validate.Delete {
		b.Delete()
		return Consequence{What: b.changes(before, was)}, nil
	}
	data := b.change.New.Data
	b.Load(data)
	c := Consequence{}
	_, _, accounts, err := configmap.ParseMap(data)
	c.Logged = err != nil
	for _, section := range []string{"mapRoles", "mapUsers"} {
		if c.What, err = appendLost(c.What, section, data[section]); err != nil {
			return c, err
		}
	}
	c.What = append(c.What, b.changes(before, was)...)
	c.What = append(c.What, b.flaws(callers(data))...)
	wrong := slices.DeleteFunc(accounts, accountID.MatchString)
	c.What = appendCount(c.What, len(wrong), "%d account never matches", "%d accounts never match")
	return c, nil
}

var accountID = regexp.MustCompile(`^\d{12}$`)

func oldData(c validate.Change) map[string]string {
	if c.Old == nil {
		return nil
	}
	return c.Old.Data
}

// appendLost appends a sentence if the authenticator doesn't load all elements of a section. The sentence says how many it
// loads.
func appendLost(what []string, section, text string) ([]string, error) {
	users, roles, _, err := configmap.ParseMap(map[string]string{section: text})
	if err == nil {
		return what, nil
	}
	loaded := len(users) + len(roles)
	if loaded == 0 {
		return append(what, "loads nothing from "+section), nil
	}
	var elements []any
	if err := yaml.Unmarshal([]byte(text), &elements); err != nil {
		return nil, fmt.Errorf("count the elements of %s: %w", section, err)
	}
	return append(what, fmt.Sprintf("loads %d of %d elements of %s", loaded, len(elements), section)), nil
}

// callers returns the ARNs that STS returns for the principals of a document, sorted and without duplicates. If the document has
// errors, it leaves out the entries that the authenticator does not load.
func callers(data map[string]string) []string {
	users, roles, _, _ := configmap.ParseMap(data)
	var arns []string
	for _, r := range roles {
		arns = append(arns, sessionOf(r.RoleARN))
	}
	for _, u := range users {
		arns = append(arns, sessionOf(u.UserARN))
	}
	slices.Sort(arns)
	return slices.Compact(arns)
}

var roleARN = regexp.MustCompile(`^(arn:[^:]+):iam::(\d+):role/(?:.*/)?([^/]+)$`)

// sessionOf returns the ARN that STS returns for a caller with this principal. For a role, this is the ARN of a session, which
// doesn't have the role's path. For any other principal, it is the same ARN.
func sessionOf(arn string) string {
	if m := roleARN.FindStringSubmatch(arn); m != nil {
		return m[1] + ":sts::" + m[2] + ":assumed-role/" + m[3] + "/session"
	}
	return arn
}

func (b *bare) answers(callers []string) map[string]authenticator.Answer {
	answers := make(map[string]authenticator.Answer, len(callers))
	for _, arn := range callers {
		answers[arn] = b.Resolve(arn)
	}
	return answers
}

// changes counts the principals that could log in before the change and are refused after it, and those that lack a group after
// it. was has the answers from before the change.
func (b *bare) changes(callers []string, was map[string]authenticator.Answer) []string {
	var refused, less int
	for arn, now := range b.answers(callers) {
		switch {
		case !was[arn].Mapped:
		case !now.Mapped:
			refused++
		case slices.ContainsFunc(was[arn].Groups, func(g string) bool { return !slices.Contains(now.Groups, g) }):
			less++
		}
	}
	what := appendCount(nil, refused, "refuses %d principal that logged in before", "refuses %d principals that logged in before")
	return appendCount(what, less, "gives %d principal fewer groups than before", "gives %d principals fewer groups than before")
}

// flaws counts the principals of the new text that can't log in, and those that log in without a username.
func (b *bare) flaws(callers []string) []string {
	var never, nameless int
	for _, answer := range b.answers(callers) {
		switch {
		case !answer.Mapped:
			never++
		case answer.Username == "":
			nameless++
		}
	}
	what := appendCount(nil, never, "keeps %d ARN that never matches", "keeps %d ARNs that never match")
	return appendCount(what, nameless, "gives %d principal no username", "gives %d principals no username")
}

func appendCount(what []string, n int, one, many string) []string {
	switch n {
	case 0:
		return what
	case 1:
		return append(what, fmt.Sprintf(one, n))
	}
	return append(what, fmt.Sprintf(many, n))
}

// String returns the text for the authenticator's column of the table.
func (c Consequence) String() string {
	text := "no error"
	if c.Logged {
		text = "an error in its log"
	}
	if len(c.What) == 0 {
		return text + "; every principal logs in as the text says"
	}
	return text + "; " + strings.Join(c.What, "; ")
}
