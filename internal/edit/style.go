package edit

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// style is the way in which an entry or an account is written.
type style struct {
	flow  bool     // an entry is in braces
	inner bool     // the list is in brackets, so an entry has no dash
	brk   string   // the line break
	pad   string   // the spaces between the dash and the first key
	order []string // the order of arn, username and groups
	key   awsauth.Quote
	// template is the style of values with a template, which many people quote because YAML gives braces a meaning.
	template awsauth.Quote
	quote    map[string]awsauth.Quote // the quotes of values, by arn, username, groups and account

	open, colon, separator, end string // the texts between the parts of an entry in braces

	groupsFlow                       bool
	groupsOpen, groupsSep, groupsEnd string // the texts between the parts of groups in brackets
	groupIndent                      int    // the number of spaces from the column of the keys to the dashes of groups
}

const arnField = "arn"

// field returns arn for the keys rolearn and userarn, and the key itself for username and groups. For other keys it returns "". It ignores case.
func field(key string) string {
	switch key = strings.ToLower(key); key {
	case "rolearn", "userarn":
		return arnField
	case "username", "groups":
		return key
	}
	return ""
}

// styleOf returns the style in which a new element fits the list: that of the last entry or, for accounts, the quotes of the last account. In
// a text without elements it returns a default style.
func (l *list) styleOf() style {
	st := style{
		brk: lineBreak(l.text), pad: " ", colon: ": ", separator: ", ", groupsSep: ", ", quote: map[string]awsauth.Quote{"account": awsauth.DoubleQuoted},
	}
	if l.root == nil {
		st.order = []string{arnField, "username", "groups"}
		return st
	}
	st.inner, st.flow = l.root.Flow, l.root.Flow
	for _, item := range slices.Backward(l.root.Items) {
		if item.Kind == awsauth.ScalarSpan && item.Quote == awsauth.SingleQuoted && l.section == awsauth.MapAccounts {
			st.quote["account"] = awsauth.SingleQuoted
			break
		}
		if item.Kind == awsauth.MappingSpan && len(item.Items) > 0 {
			st.like(l.text, item)
			break
		}
	}
	st.template = templateQuote(l.root)
	for _, item := range slices.Backward(l.root.Items) {
		if st.groupsLike(l.text, item) {
			break
		}
	}
	if !slices.Contains(st.order, arnField) {
		st.order = append(st.order, arnField)
	}
	for _, name := range []string{"username", "groups"} {
		if !slices.Contains(st.order, name) {
			st.order = append(st.order, name)
		}
	}
	return st
}

var (
	spaceOnly = regexp.MustCompile(`^[ \t\r\n]*$`)
	commaOnly = regexp.MustCompile(`^[ \t\r\n]*,[ \t\r\n]*$`)
	colonOnly = regexp.MustCompile(`^[ \t]*:[ \t]*$`)
)

// like sets the style to that of an entry.
func (st *style) like(text string, item *awsauth.Span) {
	st.flow = st.inner || item.Flow
	keys := item.Items
	first := keys[0]
	st.key = plainOrQuoted(first.Quote)
	if pad := text[item.After:first.Mark]; !item.Flow && item.After > item.Mark && pad != "" && blank(pad) {
		st.pad = pad
	} else if pad := text[item.After:item.Start]; item.Flow && item.After > item.Mark && pad != "" && blank(pad) {
		st.pad = pad
	}
	for i := 0; i+1 < len(keys); i += 2 {
		name, value := field(keys[i].Value), keys[i+1]
		if name == "" || slices.Contains(st.order, name) {
			continue
		}
		st.order = append(st.order, name)
		if value.Kind == awsauth.ScalarSpan {
			st.quote[name] = plainOrQuoted(value.Quote)
		}
		if name == "username" && needsQuotes(value, st.flow) {
			delete(st.quote, name) // the quotes are not a matter of style: another username may need none
		}
	}
	if _, ok := st.quote["username"]; !ok {
		st.quote["username"] = st.quote[arnField]
	}
	if !item.Flow {
		return
	}
	take(&st.open, spaceOnly, text[item.Text+1:first.Start])
	take(&st.end, spaceOnly, text[keys[len(keys)-1].End:item.End-1])
	if colon := text[first.End:keys[1].Start]; colonOnly.MatchString(colon) && (st.key != awsauth.Unquoted || colon != ":") {
		st.colon = colon
	}
	if len(keys) > 2 {
		take(&st.separator, commaOnly, text[keys[1].End:keys[2].Start])
	} else {
		st.separator = "," + cmp.Or(st.open, strings.TrimPrefix(st.colon, ":"))
	}
	st.groupsSep = "," + strings.TrimLeft(st.colon, ":")
}

func take(to *string, pattern *regexp.Regexp, text string) {
	if pattern.MatchString(text) {
		*to = text
	}
}

// groupsLike sets the style of groups to that of an element. It returns false if the element has no list of groups.
func (st *style) groupsLike(text string, item *awsauth.Span) bool {
	if item.Kind != awsauth.MappingSpan {
		return false
	}
	for i := 0; i+1 < len(item.Items); i += 2 {
		key, groups := item.Items[i], item.Items[i+1]
		if field(key.Value) != "groups" || groups.Kind != awsauth.ListSpan || len(groups.Items) == 0 || st.flow && !groups.Flow {
			continue
		}
		first, last := groups.Items[0], groups.Items[len(groups.Items)-1]
		st.quote["groups"] = quoteOf(groups.Items, st.flow, st.quote[arnField])
		if !groups.Flow {
			st.groupIndent = max(column(text, first.Mark)-column(text, key.Mark), 0)
			return true
		}
		st.groupsFlow = true
		take(&st.groupsOpen, spaceOnly, text[groups.Text+1:first.Start])
		take(&st.groupsEnd, spaceOnly, text[last.End:groups.End-1])
		if len(groups.Items) > 1 {
			take(&st.groupsSep, commaOnly, text[first.End:groups.Items[1].Start])
		} else if st.groupsOpen != "" {
			st.groupsSep = "," + st.groupsOpen
		}
		return true
	}
	return false
}

// needsQuotes reports whether a scalar may be in quotes because of its value, and not because of the style of the list.
func needsQuotes(s *awsauth.Span, flow bool) bool {
	return s.Kind == awsauth.ScalarSpan && (strings.ContainsAny(s.Value, "{}") || !plainSafe(s.Value, flow))
}

// quoteOf returns the quotes of the first scalar in a list that would need no quotes. It returns other if all scalars may need quotes, because
// then their quotes show no style.
func quoteOf(items []*awsauth.Span, flow bool, other awsauth.Quote) awsauth.Quote {
	for _, item := range items {
		if item.Kind == awsauth.ScalarSpan && !needsQuotes(item, flow) {
			return plainOrQuoted(item.Quote)
		}
	}
	return other
}

// templateQuote returns the quotes of the last value with a template, or Unquoted if no such value has quotes.
func templateQuote(s *awsauth.Span) awsauth.Quote {
	if s.Kind == awsauth.ScalarSpan && strings.Contains(s.Value, "{{") {
		return plainOrQuoted(s.Quote)
	}
	for _, item := range slices.Backward(s.Items) {
		if q := templateQuote(item); q != awsauth.Unquoted {
			return q
		}
	}
	return awsauth.Unquoted
}

// value returns the text of a value of a field, with the quotes of the style.
func (st *style) value(name, value string, flow bool) string {
	q := st.quote[name]
	if q == awsauth.Unquoted && strings.Contains(value, "{{") {
		q = st.template
	}
	return write(value, q, flow)
}

func plainOrQuoted(q awsauth.Quote) awsauth.Quote {
	if q == awsauth.SingleQuoted || q == awsauth.DoubleQuoted {
		return q
	}
	return awsauth.Unquoted
}

// column returns the number of bytes before an offset in its line.
func column(text string, at int) int { return at - lineStart(text, at) }

// entry returns the text of an entry, with its dash. In a list in brackets, an entry has no dash. margin is the text before the dash.
func (st *style) entry(e awsauth.Entry, margin string) string {
	var pairs []string
	indent := margin + strings.Repeat(" ", 1+len(st.pad))
	for _, name := range st.order {
		key := name
		if name == arnField {
			key = e.ARNKey()
		}
		key = write(key, st.key, st.flow)
		switch {
		case name == arnField:
			pairs = append(pairs, key+st.colon+st.value(arnField, e.ARN, st.flow))
		case name == "username" && e.Username != "":
			pairs = append(pairs, key+st.colon+st.value(name, e.Username, st.flow))
		case name == "groups" && len(e.Groups) > 0:
			pairs = append(pairs, st.groups(key, e.Groups, indent))
		}
	}
	switch {
	case st.inner:
		return "{" + st.open + strings.Join(pairs, st.separator) + st.end + "}"
	case st.flow:
		return margin + "-" + st.pad + "{" + st.open + strings.Join(pairs, st.separator) + st.end + "}"
	}
	return margin + "-" + st.pad + strings.Join(pairs, st.brk+indent)
}

// groups returns the text of the key groups with its list. key is the key with its quotes, and indent is the text before it.
func (st *style) groups(key string, groups []string, indent string) string {
	if st.flow || st.groupsFlow {
		return key + st.colon + st.flowGroups(groups)
	}
	var b strings.Builder
	b.WriteString(key + ":")
	for _, g := range groups {
		b.WriteString(st.brk + indent + strings.Repeat(" ", st.groupIndent) + "- " + st.value("groups", g, false))
	}
	return b.String()
}

func (st *style) flowGroups(groups []string) string {
	texts := make([]string, len(groups))
	for i, g := range groups {
		texts[i] = st.value("groups", g, true)
	}
	return "[" + st.groupsOpen + strings.Join(texts, st.groupsSep) + st.groupsEnd + "]"
}

func (st *style) account(account, margin string) string {
	text := write(account, st.quote["account"], true)
	if st.inner {
		return text
	}
	return margin + "-" + st.pad + text
}
