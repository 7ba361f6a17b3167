package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// sectionEdits collects edits of the sections of one version.
type sectionEdits struct {
	version editedVersion
	texts   map[awsauth.Section]string
	notes   []string
}

func newSectionEdits(v editedVersion) *sectionEdits {
	return &sectionEdits{version: v, texts: make(map[awsauth.Section]string)}
}

// change replaces the collected text of a section by the result of an edit. If there is no collected text, it edits the text of the
// version.
func (s *sectionEdits) change(section awsauth.Section, change func(text string) (string, error)) error {
	text, ok := s.texts[section]
	if !ok {
		text = s.version.Data[string(section)]
	}
	text, err := change(text)
	if err != nil {
		return fmt.Errorf("changing %s of %s: %w; to change the text in an editor, run %s", section, s.version.name, err, s.version.editCommand())
	}
	s.texts[section] = text
	return nil
}

// result returns the collected edits.
func (s *sectionEdits) result() textEdit { return textEdit{texts: s.texts, notes: s.notes} }

func (s *sectionEdits) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// entriesOf returns the elements of mapRoles and mapUsers for whose ARN match returns true, in their order.
func entriesOf(m *awsauth.Map, match func(arn string) bool) []*awsauth.Entry {
	var list []*awsauth.Entry
	for _, section := range [][]awsauth.Entry{m.Roles, m.Users} {
		for i := range section {
			if match(section[i].ARN) {
				list = append(list, &section[i])
			}
		}
	}
	return list
}

// chosenEntry returns the element of a principal that an edit changes: the last one that the authenticator uses, or the last one of all if
// it uses none. inForce reports whether the authenticator uses the element. chosenEntry returns nil if the principal has no element.
func chosenEntry(m *awsauth.Map, p principal) (chosen *awsauth.Entry, inForce bool) {
	all := entriesOf(m, p.has)
	for _, e := range slices.Backward(all) {
		caller := p.String()
		if p.anyPath {
			caller = e.ARN
		}
		if slices.Contains(m.MatchesOf(caller), e) {
			return e, true
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	return all[len(all)-1], false
}

// replaceEntry gives the principal one entry: it changes the entry old to e, and removes every other entry of the principal.
func (s *sectionEdits) replaceEntry(old *awsauth.Entry, e awsauth.Entry, p principal) error {
	if !slices.Equal(old.Groups, e.Groups) || old.Username != e.Username || old.ARN != e.ARN {
		if err := s.change(e.Section, func(text string) (string, error) { return edit.Replace(text, e) }); err != nil {
			return err
		}
	}
	if old.ARN != e.ARN {
		s.note("%s had %s, but no caller has this ARN; the entry gets %s", old.Path(), old.ARN, e.ARN)
	}
	others := slices.DeleteFunc(entriesOf(s.version.Load(), p.has), func(other *awsauth.Entry) bool {
		return other.Section == old.Section && other.Index == old.Index
	})
	return s.removeEntries(others, "%s is another entry of the principal, with the ARN %s; the edit removes it")
}

// removeEntries removes entries, which must be in the order of the version, and adds a note for each of them. note is the format of the
// notes for the path and the ARN of an entry.
func (s *sectionEdits) removeEntries(entries []*awsauth.Entry, note string) error {
	for _, e := range entries {
		s.note(note, e.Path(), e.ARN)
	}
	for _, e := range slices.Backward(entries) { // from the last one, so that the indexes of the others stay valid
		if err := s.change(e.Section, func(text string) (string, error) { return edit.Remove(text, e.Section, e.Index) }); err != nil {
			return err
		}
	}
	return nil
}

// accountsOf returns the indexes of the elements of mapAccounts that are an account's id, or its id with dashes or with white space around it.
// exact reports whether one of them is exactly the id, as the authenticator needs it.
func accountsOf(d *awsauth.Document, id string) (indexes []int, exact bool) {
	for _, f := range d.Accounts {
		if strings.ReplaceAll(strings.TrimSpace(f.Value), "-", "") == id {
			_, index := f.Element()
			indexes = append(indexes, index)
			exact = exact || f.Value == id
		}
	}
	return indexes, exact
}

// removeAccounts removes elements of mapAccounts. indexes must be in ascending order.
func (s *sectionEdits) removeAccounts(indexes []int) error {
	for _, i := range slices.Backward(indexes) {
		if err := s.change(awsauth.MapAccounts, func(text string) (string, error) { return edit.Remove(text, awsauth.MapAccounts, i) }); err != nil {
			return err
		}
	}
	return nil
}

// nodeRolesLost returns the ARNs of the node roles that the edits remove.
func (s *sectionEdits) nodeRolesLost() []string {
	lost := make(map[string]bool)
	for _, arn := range access.Nodes(s.version.Load().Principals()) {
		lost[arn] = true
	}
	for _, arn := range access.Nodes(s.version.withTexts(s.result()).Load().Principals()) {
		delete(lost, arn)
	}
	return slices.Sorted(maps.Keys(lost))
}

// readable returns an error if one of the sections can't be loaded: the authenticator can't decode it, or it is too expensive to evaluate.
// An edit of one entry can't repair such a section.
func (v editedVersion) readable(sections ...awsauth.Section) error {
	m := v.Load()
	for _, section := range sections {
		if err := m.LoadError(section); err != nil {
			return fmt.Errorf("%s of %s can't be loaded: %w; repair the section first with %s", section, v.name, err, v.repairCommands())
		}
	}
	return nil
}

// repairCommands returns the commands that can repair a version with a section that can't be loaded.
func (v editedVersion) repairCommands() string {
	if v.run.options.file == "" {
		return "kubectl awsauth fix or " + v.editCommand()
	}
	return "kubectl awsauth lint --fix " + textutil.ShellWord(v.run.options.file) + " or " + v.editCommand()
}

// editCommand returns the command that opens a version in an editor.
func (v editedVersion) editCommand() string {
	switch v.run.options.file {
	case "":
		return "kubectl awsauth edit"
	case stdinName:
		return "kubectl awsauth edit -f FILE -i"
	default:
		return "kubectl awsauth edit" + v.fileFlag() + " -i"
	}
}
