package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// maxMinimizeTries is the largest number of changes that minimize checks for one failure. These checks take a second
// or two.
const maxMinimizeTries = 3000

// minimize removes the parts of the change that the failure doesn't need. It returns the failure with the smaller
// change. It doesn't minimize a sequence, or a change whose text must match a model.
func (k *Checker) minimize(f FoundFailure) FoundFailure {
	tries := maxMinimizeTries
	still := func(c *generate.Change) (Failure, bool) {
		tries--
		if tries < 0 {
			return Failure{}, false
		}
		for _, other := range k.Check(c) {
			if other.kind() == f.kind() {
				return other, true
			}
		}
		return Failure{}, false
	}
	if f.Check == checkSequence {
		return f
	}
	if f.Change.Model != nil && (f.Check == checkStyle || f.Check == checkFault) {
		return f // a smaller text would no longer match the model
	}
	best := *f.Change
	best.Model = nil
	if _, ok := still(&best); !ok {
		return f
	}
	try := func(change func(*generate.Change)) bool {
		next := best
		next.Old, next.New, next.Protected = maps.Clone(best.Old), maps.Clone(best.New), maps.Clone(best.Protected)
		change(&next)
		smaller, ok := still(&next)
		if ok {
			best, f.Failure = next, smaller
		}
		return ok
	}
	try(func(c *generate.Change) { c.Manifest = generate.Live })
	try(func(c *generate.Change) { c.Protected = nil })
	try(func(c *generate.Change) { c.Requester = "" })
	try(func(c *generate.Change) { c.AdminGroups = nil })
	try(func(c *generate.Change) { c.OverrideGroups = nil })
	try(func(c *generate.Change) { c.Form = generate.FullExtra })
	for _, section := range slices.Sorted(maps.Keys(best.Old)) {
		if !try(func(c *generate.Change) { delete(c.Old, section) }) {
			shorten(best.Old[section], func(text string) bool { return try(func(c *generate.Change) { c.Old[section] = text }) })
		}
	}
	for _, section := range slices.Sorted(maps.Keys(best.New)) {
		if !try(func(c *generate.Change) { delete(c.New, section) }) {
			shorten(best.New[section], func(text string) bool { return try(func(c *generate.Change) { c.New[section] = text }) })
		}
	}
	f.Change = &best
	return f
}

// shorten removes lines from a text, and then characters. It undoes a removal for which accepted returns false.
func shorten(text string, accepted func(string) bool) {
	for _, separator := range []string{"\n", ""} {
		parts := strings.SplitAfter(text, separator)
		for size := max(1, len(parts)/2); ; size /= 2 {
			for at := 0; at+size <= len(parts); {
				rest := slices.Concat(parts[:at], parts[at+size:])
				if accepted(strings.Join(rest, "")) {
					parts = rest
				} else {
					at += size
				}
			}
			if size <= 1 {
				break
			}
		}
		text = strings.Join(parts, "")
	}
}

// String returns the failure with everything that is needed to reproduce it.
func (f FoundFailure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", f.kind(), f.Detail)
	if f.Check == checkSequence {
		return b.String() + describeSequence(f.Sequence)
	}
	c := f.Change
	show := func(name string, data map[string]string) {
		if data == nil {
			fmt.Fprintf(&b, "%s: no object\n", name)
		}
		for _, section := range slices.Sorted(maps.Keys(data)) {
			fmt.Fprintf(&b, "%s %s: %q\n", name, section, data[section])
		}
	}
	show("old", c.Old)
	show("new", c.New)
	if len(c.Protected) > 0 {
		fmt.Fprintf(&b, "protected: %q\n", c.Protected)
	}
	if c.Requester != "" {
		fmt.Fprintf(&b, "requester: %s\n", c.Requester)
	}
	if c.Form != generate.FullExtra {
		fmt.Fprintf(&b, "extra fields: %s\n", c.Form)
	}
	if c.OverrideGroups != nil {
		fmt.Fprintf(&b, "override groups: %q\n", c.OverrideGroups)
	}
	if c.AdminGroups != nil {
		fmt.Fprintf(&b, "admin groups: %q\n", c.AdminGroups)
	}
	fmt.Fprintf(&b, "made by: %s\n", strings.Join(c.Origin, ", "))
	return b.String()
}
