package validate_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// TestHintsAreExecutable follows the hints of every bad case. The result must have no finding of the rule and no
// denial. The test follows a hint literally. If the hint leaves a choice, the section fixed.yaml of the case is the
// result.
func TestHintsAreExecutable(t *testing.T) {
	for _, rule := range validate.Rules() {
		for _, c := range cases(t, filepath.Join(rulesDir, rule.ID, "*.txtar")) {
			if c.Kind() != rulecase.Bad || notAboutText[rule.ID] != "" {
				continue
			}
			t.Run(rule.ID+"/"+filepath.Base(c.File), func(t *testing.T) { testHints(t, rule, c) })
		}
	}
}

// notAboutText maps a rule to the action that its hints ask for, if TestHintsAreExecutable can't take this action. Most of
// these actions are not edits of aws-auth.
var notAboutText = map[string]string{
	"principal-unverified":   "to check the principal in IAM",
	"access-entries-unknown": "to check the access entries in EKS",
	"ignored-by-mode":        "to create an access entry",
	"being-deleted":          "to delete the object and to create it again",
	"too-expensive":          "to write the entries of a hostile text in another form",
}

func testHints(t *testing.T, rule *validate.Rule, c *rulecase.Case) {
	t.Helper()
	verdict := validate.Evaluate(c.Change, c.Policy)
	fixed := string(c.Manifest(false))
	if text := c.Fixed(); text != nil {
		fixed = string(text)
	} else {
		for _, f := range slices.Backward(byPosition(verdict.Findings)) {
			var ok bool
			if fixed, ok = follow(f, fixed, c); !ok {
				t.Fatalf("the hint %q can't be followed literally: write another one, or add the section fixed.yaml to the case", f.Hint)
			}
		}
	}
	manifests, errs := awsauth.ParseManifests([]byte(fixed))
	if len(errs) > 0 || len(manifests) != 1 {
		t.Fatalf("the fixed text is not one aws-auth: %v\n%s", errs, fixed)
	}
	change := c.Change
	change.New = manifests[0].Object
	if change.Operation == validate.Delete {
		change.Operation = validate.Update
	}
	after := validate.Evaluate(change, c.Policy)
	if denied := after.Denied(); len(denied) > 0 || slices.Contains(after.Rules(), rule.ID) {
		t.Errorf("the fixed text still has findings:\n%s\n%s", text(after), fixed)
	}
}

// byPosition returns the findings from the first line to the last.
func byPosition(findings []validate.Finding) []validate.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b validate.Finding) int { return (a.Line-b.Line)*10000 + a.Column - b.Column })
	return sorted
}

// edit is a manifest in which the test follows a hint. Its methods change the lines.
type edit struct {
	lines        []string
	line, column int      // the place of the finding, counted from 0; the column is in bytes
	words        []string // the hint and the parts of it that the pattern of its form captures
	old          string   // the manifest before the change; empty if there is none
}

// hintForms maps the forms of hints to functions that follow them.
var hintForms = []struct {
	form   *regexp.Regexp
	follow func(*edit)
}{
	{regexp.MustCompile(`^(?:keep (?:an entry|the |your own|username: |a finalizer)|change aws-auth instead|leave the text as it is|correct the ARN, or add the entry)`), (*edit).keepOld},
	{regexp.MustCompile(`^don't add|^write its name as IAM shows it, create it first, or leave the entry out`), (*edit).keepOld},
	{regexp.MustCompile(`^leave out the group (\S+)`), (*edit).leaveOutGroup},
	{regexp.MustCompile(`^add the groups? (.+)$`), (*edit).addGroups},
	{regexp.MustCompile(`^leave out the line with (?:--- or )?\.{3}`), (*edit).leaveOutSeparator},
	{regexp.MustCompile(`^leave out immutable$`), func(e *edit) {
		e.lines = slices.DeleteFunc(e.lines, func(line string) bool { return strings.HasPrefix(line, "immutable:") })
	}},
	{regexp.MustCompile(`^write its value under .+, or write the line as a comment$`), func(e *edit) { e.lines[e.line] = indentOf(e.lines[e.line]) + "# " + strings.TrimSpace(e.lines[e.line]) }},
	{regexp.MustCompile(`^begin a new element with a dash before this key$`), func(e *edit) {
		e.lines[e.line] = e.lines[e.line][:e.column-2] + "- " + e.lines[e.line][e.column:]
	}},
	{regexp.MustCompile(`^write a dash before (\w+), and move the lines below it by two columns$`), (*edit).writeDash},
	{regexp.MustCompile(`^write the list without the line above it$`), func(e *edit) { e.lines = slices.Delete(e.lines, e.line-1, e.line) }},
	{regexp.MustCompile(`^(?:remove the annotation|write "until|write "delete)`), (*edit).removeAnnotations},
	{regexp.MustCompile(`^write (.+) instead of (U\+[0-9A-F]+) `), (*edit).replaceCharacter},
	{regexp.MustCompile(`^remove the character (U\+[0-9A-F]+) `), (*edit).removeCharacter},
	{regexp.MustCompile(`^write (rolearn: arn:\S+)$`), func(e *edit) { e.lines[e.line] = e.lines[e.line][:e.column] + e.words[1] }},
	{regexp.MustCompile(`^replace the tab with (spaces|one space)$`), func(e *edit) {
		e.lines[e.line] = strings.Replace(e.lines[e.line], "\t", map[string]string{"spaces": "  ", "one space": " "}[e.words[1]], 1)
	}},
	{regexp.MustCompile(`^write (\S+) instead of (.+)$`), (*edit).replaceWord},
	{regexp.MustCompile(`^move .+ from column (\d+) to column (\d+)(?:, below groups)?$`), (*edit).move},
	{regexp.MustCompile(`^move the dash of line (\d+) to the column of the dash above it$`), (*edit).moveDash},
	{regexp.MustCompile(`^write (map\w+: \|) in column (\d+), as a key of data$`), (*edit).writeSection},
	{regexp.MustCompile(`^write (.+), each after a dash$`), (*edit).writeItems},
	{regexp.MustCompile(`^write (.+) on a line of its own(?: below groups)?$`), (*edit).writeLine},
	{regexp.MustCompile(`^(?:map a role that the group may assume: )?write (arn:\S+)(?: in map(?:Roles|Users))?(?: with .+)?$`), (*edit).writeARN},
	{regexp.MustCompile(`^write the ARN of an IAM (?:role or )?user, such as (arn:\S+)$`), (*edit).writeARN},
	{regexp.MustCompile(`^write (system:node:\S+) for EC2, or [^,]*$`), (*edit).writeValue},
	{regexp.MustCompile(`^write the value that (.+) stands for`), (*edit).writeStandsFor},
	{regexp.MustCompile(`^write (- \w+: .+)$`), func(e *edit) { e.lines[e.line] = e.lines[e.line][:e.column] + e.words[1] }},
	{regexp.MustCompile(`^write (username): (\S+)$`), (*edit).writeKey},
	{regexp.MustCompile(`^write it in quotes: (".+")$`), (*edit).writeValue},
	{regexp.MustCompile(`^write it as a list: (\[.+\])$`), (*edit).writeValue},
	{regexp.MustCompile(`^write (".+?"|'.+?'|\[.+\]|[^\s"]+)(?: if this is the account|; a single principal .+)?$`), (*edit).writeValue},
}

// follow returns the manifest after the hint of a finding has been followed. It returns false if the hint has none of
// the forms.
func follow(f validate.Finding, manifest string, c *rulecase.Case) (string, bool) {
	for _, h := range hintForms {
		words := h.form.FindStringSubmatch(f.Hint)
		if words == nil {
			continue
		}
		e := &edit{lines: strings.Split(manifest, "\n"), line: max(f.Line-1, 0), words: words, old: string(c.Manifest(true))}
		if e.line < len(e.lines) {
			e.column = len(string([]rune(e.lines[e.line])[:max(f.Column-1, 0)]))
		}
		h.follow(e)
		return strings.Join(e.lines, "\n"), true
	}
	return manifest, false
}

func (e *edit) keepOld() { e.lines = strings.Split(e.old, "\n") }

func (e *edit) removeAnnotations() {
	e.lines = slices.DeleteFunc(e.lines, func(line string) bool { return strings.Contains(line, "awsauth-guard.io/") })
}

func character(codePoint string) string {
	n, err := strconv.ParseInt(strings.TrimPrefix(codePoint, "U+"), 16, 32)
	if err != nil {
		panic(err)
	}
	return string(rune(n))
}

// replaceCharacter replaces a typographic character. If the character is in front of an item, replaceCharacter also
// moves the item.
func (e *edit) replaceCharacter() {
	plain := strings.Trim(strings.NewReplacer("a plain space", " ", "a colon and a space", ": ").Replace(e.words[1]), `"`)
	for i, line := range e.lines {
		e.lines[i] = strings.ReplaceAll(line, character(e.words[2]), plain)
		if e.lines[i] != line && i > e.line && strings.HasPrefix(strings.TrimSpace(e.lines[i]), "- ") && strings.HasPrefix(strings.TrimSpace(e.lines[i-1]), "- ") {
			e.lines[i] = indentOf(e.lines[i-1]) + strings.TrimSpace(e.lines[i])
		}
	}
}

func (e *edit) removeCharacter() {
	for i := range e.lines {
		e.lines[i] = strings.ReplaceAll(e.lines[i], character(e.words[1]), "")
	}
}

// replaceWord replaces a word at the place of the finding, or else its first occurrence from the line of the finding on.
func (e *edit) replaceWord() {
	line := e.lines[e.line]
	if strings.HasPrefix(line[e.column:], e.words[2]) {
		e.lines[e.line] = line[:e.column] + e.words[1] + line[e.column+len(e.words[2]):]
		return
	}
	for i := e.line; i < len(e.lines); i++ {
		if strings.Contains(e.lines[i], e.words[2]) {
			e.lines[i] = strings.Replace(e.lines[i], e.words[2], e.words[1], 1)
			return
		}
	}
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

// move moves a line and the lines that belong to it.
func (e *edit) move() {
	from, to := number(e.words[1])-1, number(e.words[2])-1
	element := strings.HasPrefix(e.words[0], "move this element")
	item := regexp.MustCompile(`^ *- [^:]*$`).MatchString(e.lines[e.line])
	for i := e.line; i < len(e.lines); i++ {
		line := e.lines[i]
		indent := len(indentOf(line))
		if i > e.line && (indent < from || indent == to && from < to && !element || item && !strings.HasPrefix(line[indent:], "- ")) {
			return
		}
		e.lines[i] = strings.Repeat(" ", indent+to-from) + line[indent:]
	}
}

func (e *edit) moveDash() {
	i := number(e.words[1]) - 1
	e.lines[i] = indentOf(e.lines[i-1]) + strings.TrimSpace(e.lines[i])
}

func (e *edit) writeSection() {
	e.lines[e.line] = strings.Repeat(" ", number(e.words[2])-1) + e.words[1]
}

// writeItems replaces an item by several items.
func (e *edit) writeItems() {
	parts := strings.Split(e.words[1], " and ")
	if strings.HasPrefix(strings.TrimSpace(e.lines[e.line]), "- ") && !e.flow() {
		e.lines = slices.Replace(e.lines, e.line, e.line+1, strings.Split(indentOf(e.lines[e.line])+"- "+strings.Join(parts, "\n"+indentOf(e.lines[e.line])+"- "), "\n")...)
		return
	}
	if indent := indentOf(e.lines[e.line]); !e.flow() {
		e.lines[e.line] = indent + "- " + strings.Join(parts, "\n"+indent+"- ")
		return
	}
	e.replaceValue(strings.Join(parts, ", "))
}

// writeLine moves the end of a line to a line of its own.
func (e *edit) writeLine() {
	line, word := e.lines[e.line], strings.Trim(e.words[1], `"`)
	at := strings.Index(line, word)
	indent := indentOf(line)
	if strings.HasPrefix(strings.TrimSpace(line), "- ") {
		indent += "  "
	}
	e.lines = slices.Replace(e.lines, e.line, e.line+1, strings.TrimRight(line[:at], " "), indent+line[at:])
}

func (e *edit) writeARN() {
	parts := strings.SplitN(e.words[1], ":", 6)
	parts[1] = strings.ReplaceAll(parts[1], "PARTITION", "aws")
	parts[4] = strings.ReplaceAll(parts[4], "ACCOUNT", "111122223333")
	parts[5] = strings.NewReplacer("NAME", "name", "_SUFFIX", "_0123456789abcdef").Replace(parts[5])
	e.replaceValue(strings.Join(parts, ":"))
}

func (e *edit) writeStandsFor() {
	value := "name"
	if strings.Contains(strings.ToLower(e.words[1]), "account") {
		value = "111122223333"
	}
	if strings.Contains(e.words[1], "ARN") {
		value = "arn:aws:iam::111122223333:role/name"
	}
	line := e.lines[e.line]
	if inner := strings.Trim(e.words[1], "<>"); strings.HasPrefix(inner, "system:") {
		value = inner
	}
	e.lines[e.line] = line[:e.column] + strings.Replace(line[e.column:], e.words[1], value, 1)
}

// writeKey adds a key to the element. If the key has an empty value, writeKey writes the value.
func (e *edit) writeKey() {
	line := e.lines[e.line]
	name := strings.ReplaceAll(e.words[2], "NAME", "name")
	switch {
	case strings.HasPrefix(line[e.column:], e.words[1]+" "): // the colon is missing
		e.lines[e.line] = line[:e.column] + e.words[1] + ": " + name
	case strings.Contains(line[:e.column], e.words[1]+":") || strings.HasPrefix(line[e.column:], e.words[1]+":"):
		before, _, _ := strings.Cut(line, e.words[1]+":")
		e.lines[e.line] = before + e.words[1] + ": " + name
	case strings.HasPrefix(line[e.column:], "{"):
		e.lines[e.line] = line[:e.column+1] + e.words[1] + ": " + name + ", " + line[e.column+1:]
	default:
		e.lines = slices.Replace(e.lines, e.line, e.line+1, line[:e.column]+e.words[1]+": "+name, strings.Repeat(" ", e.column)+line[e.column:])
	}
}

func (e *edit) writeValue() {
	value := e.words[1]
	if e.flow() && strings.ContainsAny(value, "{}") && value[0] != '"' {
		value = strconv.Quote(value)
	}
	e.replaceValue(value)
}

// flow reports whether the place is in a list or mapping in flow style.
func (e *edit) flow() bool { return strings.ContainsAny(e.lines[e.line][:e.column], "[{") }

var flowEnd = regexp.MustCompile(`[,\]}]`)

// replaceValue replaces the scalar at the place by another one.
func (e *edit) replaceValue(value string) {
	line := e.lines[e.line]
	begin, end := e.column, len(line)
	if strings.HasPrefix(value, "arn:") && !strings.Contains(strings.ToLower(line[begin:min(len(line), begin+6)]), "arn") { // at the element
		begin = max(strings.Index(line, " arn:")+1, begin)
	}
	if above := e.lines[max(e.line-1, 0)]; blockHeader.MatchString(above) {
		e.lines = slices.Replace(e.lines, e.line-1, e.line+1, above[:strings.LastIndex(above, ":")+1]+" "+value)
		for e.line < len(e.lines) && len(indentOf(e.lines[e.line])) >= e.column && e.lines[e.line] != "" {
			e.lines = slices.Delete(e.lines, e.line, e.line+1)
		}
		return
	}
	if key := writtenKey.FindString(line[begin:]); key != "" && !strings.Contains(value, ":") {
		e.lines[e.line] = line[:begin] + value + line[begin+strings.Index(key, ":"):]
		return
	}
	if begin > 0 && (line[begin-1] == '"' || line[begin-1] == '\'') && strings.Count(line[begin:], line[begin-1:begin]) > 0 {
		end = begin + strings.IndexByte(line[begin:], line[begin-1]) + 1
		begin--
	} else if e.flow() {
		if at := flowEnd.FindStringIndex(strings.NewReplacer("{{", "((", "}}", "))").Replace(line[begin:])); at != nil {
			end = begin + at[0]
		}
	}
	e.lines[e.line] = line[:begin] + value + line[end:]
}

var (
	blockHeader = regexp.MustCompile(`^ {4,}(?:- )?\w+: *[|>][-+]?$`)
	writtenKey  = regexp.MustCompile(`^[\w-]+:(?: |$)`)
)

// leaveOutGroup removes a group from the element at the place.
func (e *edit) leaveOutGroup() {
	for i := e.line; i < len(e.lines); i++ {
		if strings.TrimSpace(e.lines[i]) == "- "+e.words[1] {
			e.lines = slices.Delete(e.lines, i, i+1)
			return
		}
		if at := strings.Index(e.lines[i], "groups: ["); at >= 0 {
			groups := strings.NewReplacer(", "+e.words[1], "", e.words[1]+", ", "", e.words[1], "", `""`, "").Replace(e.lines[i][at:])
			e.lines[i] = e.lines[i][:at] + groups
			return
		}
	}
}

// addGroups adds groups to the element at the place.
func (e *edit) addGroups() {
	groups := strings.ReplaceAll(e.words[1], " and ", ", ")
	for i := e.line; i < len(e.lines); i++ {
		if at := strings.Index(e.lines[i], "groups: ["); at >= 0 {
			e.lines[i] = e.lines[i][:at] + "groups: [" + groups + ", " + e.lines[i][at+len("groups: ["):]
			e.lines[i] = strings.ReplaceAll(e.lines[i], groups+", "+strings.Split(groups, ", ")[0], groups)
			return
		}
	}
	e.lines = slices.Insert(e.lines, e.line+1, indentOf(e.lines[e.line])+"groups: ["+groups+"]")
}

// leaveOutSeparator deletes the line that ends the YAML document above the place.
func (e *edit) leaveOutSeparator() {
	for i := e.line; i >= 0; i-- {
		if line := strings.TrimSpace(e.lines[i]); line == "---" || line == "..." {
			e.lines = slices.Delete(e.lines, i, i+1)
			return
		}
	}
}

// writeDash writes a dash before the key at the place, and indents the lines below it.
func (e *edit) writeDash() {
	indent := indentOf(e.lines[e.line])
	for i := e.line; i < len(e.lines) && strings.HasPrefix(e.lines[i], indent); i++ {
		e.lines[i] = indent + "  " + strings.TrimPrefix(e.lines[i], indent)
	}
	e.lines[e.line] = indent + "- " + strings.TrimSpace(e.lines[e.line])
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(fmt.Sprintf("%q is not a number", text))
	}
	return n
}
