package edit

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// setGroups returns the replacements that give the element other groups. The lines of groups that are in old and in groups stay.
func (l *list) setGroups(old, groups []string) ([]splice, error) {
	key, at, ok := l.pair("groups")
	st := l.styleOf()
	switch {
	case !ok:
		name := write("groups", st.key, l.inFlow())
		st.flow = l.inFlow()
		indent := ""
		if len(l.item().Items) > 0 {
			indent = strings.Repeat(" ", column(l.text, l.item().Items[0].Mark))
		}
		s, err := l.addPair(st, "groups", st.groups(name, groups, indent))
		return []splice{s}, err
	case len(groups) == 0:
		return []splice{replaceValue(at, "[]")}, nil
	case at.Kind != awsauth.ListSpan || len(at.Items) == 0 || len(at.Items) != len(old):
		if !l.inFlow() && !st.groupsFlow && (at.Kind == awsauth.ListSpan || at.Start == at.End) {
			if end, ok := endOfLine(l.text, at.End); ok && blank(l.text[at.End:end]) {
				indent := strings.Repeat(" ", column(l.text, key.Mark))
				return []splice{{at.After, end, strings.TrimPrefix(st.groups("", groups, indent), ":")}}, nil
			}
		}
		return []splice{replaceValue(at, st.flowGroups(groups))}, nil
	case at.Flow:
		return l.setFlowGroups(at, old, groups)
	}
	return l.setBlockGroups(at, old, groups)
}

// kept returns the index in old of each of groups, or -1 for a group that is not in old. It uses each index once, so a second copy of a group
// gets -1.
func kept(old, groups []string) []int {
	free := make(map[string][]int)
	for i, g := range old {
		free[g] = append(free[g], i)
	}
	from := make([]int, len(groups))
	for i, g := range groups {
		from[i] = -1
		if list := free[g]; len(list) > 0 {
			from[i], free[g] = list[0], list[1:]
		}
	}
	return from
}

func (l *list) setFlowGroups(at *awsauth.Span, old, groups []string) ([]splice, error) {
	first, last := at.Items[0], at.Items[len(at.Items)-1]
	sep := ", "
	if len(at.Items) > 1 {
		take(&sep, commaOnly, l.text[first.End:at.Items[1].Start])
	} else if gap := l.text[at.Text+1 : first.Start]; gap != "" && spaceOnly.MatchString(gap) {
		sep = "," + gap
	} else {
		sep = l.styleOf().groupsSep
	}
	texts := l.groupTexts(at, old, groups, true)
	return []splice{{first.Start, last.End, strings.Join(texts, sep)}}, nil
}

// groupTexts returns the text of each group. A group that is in old keeps its text, including its quotes. flow reports that the groups are in
// brackets.
func (l *list) groupTexts(at *awsauth.Span, old, groups []string, flow bool) []string {
	texts := make([]string, len(groups))
	st := l.styleOf()
	st.quote["groups"] = quoteOf(at.Items, flow, st.quote["groups"])
	for i, from := range kept(old, groups) {
		if from >= 0 {
			texts[i] = l.text[at.Items[from].Start:at.Items[from].End]
		} else {
			texts[i] = st.value("groups", groups[i], flow)
		}
	}
	return texts
}

func (l *list) setBlockGroups(at *awsauth.Span, old, groups []string) ([]splice, error) {
	from := kept(old, groups)
	stay := 0
	for stay < len(from) && from[stay] >= 0 {
		stay++
	}
	ordered := slices.IsSorted(from[:stay]) && !slices.ContainsFunc(from[stay:], func(i int) bool { return i >= 0 })
	texts := l.groupTexts(at, old, groups, false)
	first, last := at.Items[0], at.Items[len(at.Items)-1]
	margin := l.text[lineStart(l.text, first.Mark):first.Mark]
	end, ok := endOfLine(l.text, last.End)
	if !ok || !blank(margin) {
		return nil, l.refuse("its groups share a line")
	}
	brk := lineBreak(l.text)
	if !ordered || stay == 0 {
		lines := make([]string, len(texts))
		for i, text := range texts {
			lines[i] = margin + "- " + text
		}
		return []splice{{first.Mark - len(margin), end, strings.Join(lines, brk)}}, nil
	}
	var splices []splice
	stays := make(map[int]bool, stay)
	for _, i := range from[:stay] {
		stays[i] = true
	}
	lastKept := from[stay-1]
	for i, item := range at.Items[:lastKept] {
		itemEnd, ok := endOfLine(l.text, item.End)
		start := lineStart(l.text, item.Mark)
		switch {
		case stays[i]:
		case !ok || !blank(l.text[start:item.Mark]):
			return nil, l.refuse("its groups share a line")
		default:
			splices = append(splices, splice{start, itemEnd + len(breakAt(l.text, itemEnd)), ""})
		}
	}
	var added strings.Builder
	for _, text := range texts[stay:] {
		added.WriteString(brk + margin + "- " + text)
	}
	keptEnd, ok := endOfLine(l.text, at.Items[lastKept].End)
	if !ok {
		return nil, l.refuse("its groups share a line")
	}
	return append(splices, splice{keptEnd, end, added.String()}), nil
}
