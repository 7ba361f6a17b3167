package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// TextEdits are the names of the edits of internal/edit that [RunTextEdits] makes.
func TextEdits() []string {
	return []string{"add", "add-account", "replace", "remove", "rename", "set-value", "move", "manifest"}
}

// textEditor makes edits with internal/edit, one at a time, and compares the effect of each with the intended one.
type textEditor struct {
	a      *authenticator.Authenticator
	forms  forms
	stats  Stats
	source *Source
}

// Close stops the authenticator.
func (k *textEditor) Close() { k.a.Close() }

func (k *textEditor) statistics() Stats { return k.stats }

// RunTextEdits makes count random edits of generated texts. internal/edit must refuse an edit, or change exactly the intended elements, as
// the released authenticator reads them. RunTextEdits returns a description of each edit with another effect. At least half of the texts
// have no fault. The statistics count all refused edits, and also those of texts without faults alone.
func RunTextEdits(s *Source, count, workers int) (Stats, []string, error) {
	found := make(chan string)
	var failures []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for f := range found {
			failures = append(failures, f)
		}
	}()
	newEditor := func() (*textEditor, error) {
		a, err := authenticator.New()
		if err != nil {
			return nil, err
		}
		return &textEditor{a: a, forms: make(forms), stats: make(Stats), source: s}, nil
	}
	stats, err := checkInParallel(count, workers, newEditor, func(k *textEditor, index int) {
		if problem := k.check(index); problem != "" {
			found <- fmt.Sprintf("edit %d: %s", index, problem)
		}
	})
	close(found)
	<-done
	slices.Sort(failures)
	return stats, failures, err
}

// check makes the random edit that belongs to an index. It returns a description of the first mistake, or "" if there is none.
func (k *textEditor) check(index int) string {
	r := rand.New(rand.NewPCG(k.source.Seed, uint64(index)|1<<62)) //nolint:gosec // every run must be the same
	c := generate.NewDocument(r, k.source.seeds)
	for index%2 == 0 && c.Model == nil {
		c = generate.NewDocument(r, k.source.seeds)
	}
	kind := "text with faults"
	if c.Model != nil {
		kind = "text without faults"
	}
	var t *textEdit
	var name string
	var err error
	for t == nil || t.skipped {
		t = &textEdit{r: r, data: maps.Clone(c.New), wantAll: make(map[string][]json.RawMessage), after: maps.Clone(c.New), changed: make(map[string]int)}
		if t.after == nil {
			t.data, t.after = make(map[string]string), make(map[string]string)
		}
		name = TextEdits()[r.IntN(len(TextEdits()))]
		err = t.make(k, name)
	}
	k.stats.add("text-edit " + name)
	k.stats.add(kind)
	if err != nil {
		k.stats.add("refused " + name)
		if c.Model != nil {
			k.stats.add("refused-without-faults " + strings.TrimPrefix(c.Origin[len(c.Origin)-1], "style ") + " " + name)
			k.stats.add("refused without faults")
		}
		return ""
	}
	if problem := t.problem(k); problem != "" {
		return fmt.Sprintf("%s of %s: %s\nbefore: %s\nafter: %s\n%v", name, t.section, problem, t.data[t.section], t.after[t.section], c.Origin)
	}
	return ""
}

// textEdit is one edit with its intended result.
type textEdit struct {
	r       *rand.Rand
	data    map[string]string
	after   map[string]string
	section string
	skipped bool                         // the text has nothing to edit in this way
	wantAll map[string][]json.RawMessage // by section that changes: all elements after the edit
	changed map[string]int               // by section: the index of the element that changes; its JSON may differ from wantAll if both decode to the same entry
	lost    bool                         // the authenticator loads nothing from the section before the edit
	other   string                       // a mistake that makeManifest found
}

var (
	newARNs      = []string{"arn:aws:iam::111122223333:role/New", "arn:aws:iam::444455556666:role/Other-1", "arn:aws:iam::111122223333:role/x,y", "arn:aws:iam::012345678901:role/a=b@c"}
	newUserARNs  = []string{"arn:aws:iam::111122223333:user/new", "arn:aws:iam::111122223333:user/path/new@example.com", "arn:aws:iam::111122223333:user/o'neil"}
	newUsernames = []string{"new", "{{SessionName}}", "new:{{SessionNameRaw}}", "yes", "0123", "~", "a b", "it's", `quo"te`, "x: y", "x #y", "- z", "tab\there", "line\nbreak", "\u00e9\u2028", "system:node:{{EC2PrivateDNSName}}", "null", "*a", "&b", "{c", "@d", "=", "<<"}
	newGroups    = [][]string{nil, {"system:masters"}, {"system:bootstrappers", "system:nodes"}, {"a", "on", "1e3", "x: {{AccountID}}"}, {""}, {"a", "a"}}
)

func (t *textEdit) pick(list []string) string { return list[t.r.IntN(len(list))] }

// make makes the edit with a name of TextEdits. It returns the error of internal/edit.
func (t *textEdit) make(k *textEditor, name string) error {
	t.section = t.pick([]string{"mapRoles", "mapRoles", "mapUsers"})
	if name == "add-account" || (name == "remove" || name == "set-value") && t.r.IntN(4) == 0 {
		t.section = "mapAccounts"
		return t.makeAccount(k, name)
	}
	elements := elementsOf(t.section, t.data[t.section])
	raw := make([]json.RawMessage, len(elements))
	for i, e := range elements {
		raw[i] = e.raw
	}
	t.lost = elements == nil && !emptyText(t.data[t.section])
	section := awsauth.Section(t.section)
	entry := awsauth.Entry{Section: section, ARN: t.pick(newARNs), Username: t.pick(newUsernames), Groups: newGroups[t.r.IntN(len(newGroups))]}
	if t.section == "mapUsers" {
		entry.ARN = t.pick(newUserARNs)
	}
	index := 0
	switch name {
	case "add":
	case "manifest":
		t.lost = false
		return t.makeManifest(entry)
	default:
		if len(elements) == 0 {
			t.skipped = true
			return nil
		}
		index = t.r.IntN(len(elements))
		entry.Index = index
	}
	var err error
	text := t.data[t.section]
	switch name {
	case "add":
		t.after[t.section], err = edit.Add(text, entry)
		t.wantAll[t.section] = slices.Concat(raw, []json.RawMessage{entryJSON(entry)})
		t.changed[t.section] = len(raw)
	case "remove":
		t.after[t.section], err = edit.Remove(text, section, index)
		t.wantAll[t.section] = slices.Delete(raw, index, index+1)
	case "replace":
		t.keepSome(&entry, raw[index])
		t.after[t.section], err = edit.Replace(text, entry)
		raw[index] = replacedJSON(raw[index], entry)
		t.wantAll[t.section] = raw
		t.changed[t.section] = index
	case "rename", "set-value":
		keys := keysOf(raw[index])
		if len(keys) == 0 {
			t.skipped = true
			return nil
		}
		key := t.pick(keys)
		if name == "rename" {
			to := t.pick([]string{"rolearn", "username", "groups", "userarn", "note", "y"})
			if slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, to) }) {
				to = t.pick([]string{key, strings.ToUpper(key), "other"})
			}
			t.after[t.section], err = edit.RenameKey(text, section, index, key, to)
			raw[index] = changedJSON(raw[index], func(m map[string]any) {
				value := m[key]
				delete(m, key)
				m[to] = value
			})
		} else {
			value := t.pick(newUsernames)
			t.after[t.section], err = edit.SetValue(text, section, index, key, value)
			raw[index] = changedJSON(raw[index], func(m map[string]any) { m[key] = value })
		}
		t.wantAll[t.section] = raw
	case "move":
		to := "mapUsers"
		if t.section == "mapUsers" {
			to = "mapRoles"
		}
		moved := decodeEntry(t.section, raw[index])
		moved.Section = awsauth.Section(to)
		t.after[t.section], t.after[to], err = edit.Move(text, t.data[to], section, index, moved.ARN)
		var rest []json.RawMessage
		for _, e := range elementsOf(to, t.data[to]) {
			rest = append(rest, e.raw)
		}
		t.changed[to] = len(rest)
		t.wantAll[to] = append(rest, entryJSON(moved))
		t.wantAll[t.section] = slices.Delete(raw, index, index+1)
	}
	return err
}

// keepSome gives the new entry some values of the old element, so that the edit doesn't change every field.
func (t *textEdit) keepSome(entry *awsauth.Entry, old json.RawMessage) {
	was := decodeEntry(t.section, old)
	if t.r.IntN(2) == 0 && was.ARN != "" {
		entry.ARN = was.ARN
	}
	if t.r.IntN(2) == 0 {
		entry.Username = was.Username
	}
	switch t.r.IntN(4) {
	case 0:
		entry.Groups = was.Groups
	case 1:
		entry.Groups = append(slices.Clone(was.Groups), "more")
	case 2:
		if n := len(was.Groups); n > 0 {
			i := t.r.IntN(n)
			entry.Groups = slices.Delete(slices.Clone(was.Groups), i, i+1)
		}
	}
}

// makeAccount makes an edit of mapAccounts. It returns the error of internal/edit.
func (t *textEdit) makeAccount(k *textEditor, name string) error {
	text := t.data[t.section]
	k.a.Load(t.data)
	accounts, _ := k.a.ParseLoaded()
	accounts = slices.Clone(accounts)
	elements := elementsOf(t.section, text)
	want := func(list []string) {
		for _, account := range list {
			t.wantAll[t.section] = append(t.wantAll[t.section], mustJSON(account))
		}
	}
	var err error
	if name == "add-account" {
		t.after[t.section], err = edit.AddAccount(text, "222233334444")
		want(append(accounts, "222233334444"))
		return err
	}
	if len(accounts) == 0 || len(elements) != len(accounts) {
		t.skipped = true
		return nil
	}
	index := t.r.IntN(len(accounts))
	if name == "remove" {
		t.after[t.section], err = edit.Remove(text, awsauth.MapAccounts, index)
		want(slices.Delete(accounts, index, index+1))
		return err
	}
	value := t.pick([]string{"012345678901", "222233334444", "yes"})
	t.after[t.section], err = edit.SetValue(text, awsauth.MapAccounts, index, "", value)
	accounts[index] = value
	want(accounts)
	return err
}

// problem compares the result with the intended one. It returns a description of a difference, or "" if there is none.
func (t *textEdit) problem(k *textEditor) string {
	if t.other != "" || t.skipped {
		return t.other
	}
	if t.lost {
		return "the authenticator loads nothing from the text, and the edit was not refused"
	}
	want := maps.Clone(t.after)
	for section, list := range t.wantAll {
		if section == "mapAccounts" {
			want[section] = listText(list)
			continue
		}
		got := elementsOf(section, t.after[section])
		if len(got) != len(list) {
			return fmt.Sprintf("%s has %d elements, want %d", section, len(got), len(list))
		}
		for i := range got {
			changed, ok := t.changed[section]
			if string(got[i].raw) == string(canonicalJSON(list[i])) {
				continue
			}
			if !ok || i != changed || otherFields(got[i].raw) != otherFields(list[i]) || !equalEntries(decodeEntry(section, got[i].raw), decodeEntry(section, list[i])) {
				return fmt.Sprintf("%s[%d] is %s, want %s", section, i, got[i].raw, list[i])
			}
		}
		want[section] = listText(list)
	}
	return t.access(k, want)
}

// access compares the authenticator's answers for the edited object with those for the intended one. It returns a description of a
// difference, or "" if there is none.
func (t *textEdit) access(k *textEditor, want map[string]string) string {
	callers := k.forms.of(newVersion(t.data).arns, newVersion(t.after).arns)
	answers := func(data map[string]string) (list [][]authenticator.Answer) {
		k.a.Load(data)
		for _, caller := range callers {
			list = append(list, k.a.Possible(caller))
		}
		return list
	}
	got, intended := answers(t.after), answers(want)
	k.stats["text-edit callers"] += len(callers)
	for i, caller := range callers {
		a, b := got[i], intended[i]
		same := func(x, y []authenticator.Answer) bool {
			return !slices.ContainsFunc(x, func(answer authenticator.Answer) bool { return !slices.ContainsFunc(y, answer.Equal) })
		}
		if !same(a, b) || !same(b, a) {
			return fmt.Sprintf("the authenticator answers %s with %+v, want %+v", caller, a, b)
		}
	}
	return ""
}

// makeManifest writes the object into a manifest, and replaces the text of a section in the manifest with edit.Manifest. It records in
// t.other if the manifest then has another object than intended, or if its beginning changed.
func (t *textEdit) makeManifest(entry awsauth.Entry) error {
	data := t.data
	if data == nil {
		data = map[string]string{}
	}
	file, ok := manifestFile(t.r, data)
	if !ok {
		t.skipped = true
		return nil
	}
	found, _ := awsauth.ParseManifests([]byte(file))
	if len(found) != 1 {
		t.skipped = true
		return nil
	}
	text, err := edit.Add(data[t.section], entry)
	if err != nil {
		text = t.pick([]string{"- rolearn: x\n", "", "  - a\n", "a\r\nb", "x\n\n", "\n", "\ttab", "# only\n", "trailing  \n\n  more  \n"})
	}
	after, err := edit.Manifest([]byte(file), found[0].Line, map[awsauth.Section]string{awsauth.Section(t.section): text})
	if err != nil {
		return err
	}
	want := maps.Clone(found[0].Object.Data)
	want[t.section] = text
	again, _ := awsauth.ParseManifests(after)
	if len(again) != 1 || !maps.Equal(again[0].Object.Data, want) {
		t.other = fmt.Sprintf("the file has another meaning:\n%s\n---- after\n%s", file, after)
	}
	if !strings.HasPrefix(string(after), file[:min(len(file), manifestHead)]) {
		t.other = fmt.Sprintf("another document changed:\n%s\n---- after\n%s", file, after)
	}
	t.data, t.after = want, want
	return nil
}

// manifestHead is the length in bytes of the beginning of each file of [manifestFile] that no edit may change. The beginning is part of
// another document, or white space.
const manifestHead = 40

// manifestFile returns a file with the object in one of several forms. It returns false if it can't write the object in this form.
func manifestFile(r *rand.Rand, data map[string]string) (string, bool) {
	object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "aws-auth", "namespace": "kube-system"}, "data": data}
	if len(data) == 0 && r.IntN(2) == 0 {
		delete(object, "data")
	}
	head := "# head\napiVersion: v1\nkind: Secret\nmetadata: {name: other}\n---\n"
	switch r.IntN(5) {
	case 0:
		text, err := yaml.Marshal(object)
		return head + string(text), err == nil
	case 1:
		text, err := json.Marshal(object)
		return strings.Repeat(" ", manifestHead) + string(text), err == nil
	case 2:
		text, err := json.MarshalIndent(object, "", "  ")
		return strings.Repeat(" ", manifestHead) + string(text) + "\n", err == nil
	case 3:
		text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{object, map[string]any{"apiVersion": "v1", "kind": "Secret"}}})
		return head + string(text), err == nil
	}
	var b strings.Builder
	b.WriteString(head + "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\ndata:\n")
	for _, key := range slices.Sorted(maps.Keys(data)) {
		b.WriteString("  " + key + ": |\n")
		for line := range strings.Lines(data[key]) {
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	b.WriteString("# tail\n---\nkind: Secret\napiVersion: v1\n")
	return b.String(), len(data) > 0
}

// emptyText reports whether the authenticator reads a text without an error and gets no elements from it.
func emptyText(text string) bool {
	switch strings.TrimSpace(text) {
	case "", "``", `""`, "''":
		return true
	}
	var list []any
	err := yaml.Unmarshal([]byte(text), &list)
	return err == nil && len(list) == 0
}

func mustJSON(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // can't happen, because the value holds only texts, lists and mappings
	}
	return text
}

func listText(list []json.RawMessage) string {
	if list == nil {
		return "[]"
	}
	return string(mustJSON(list))
}

// canonicalJSON returns JSON with sorted keys, as the authenticator's conversion from YAML to JSON writes it.
func canonicalJSON(raw json.RawMessage) json.RawMessage {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return raw
	}
	return mustJSON(value)
}

// entryJSON returns an entry as an element in JSON.
func entryJSON(e awsauth.Entry) json.RawMessage {
	fields := map[string]any{e.ARNKey(): e.ARN, "username": e.Username}
	if len(e.Groups) > 0 {
		fields["groups"] = e.Groups
	}
	return mustJSON(fields)
}

// decodeEntry decodes an element as the authenticator does.
func decodeEntry(section string, raw json.RawMessage) awsauth.Entry {
	var fields struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	}
	_ = json.Unmarshal(raw, &fields) // json ignores values of a wrong type
	if len(fields.Groups) == 0 {
		fields.Groups = nil
	}
	return awsauth.Entry{Section: awsauth.Section(section), ARN: arnIn(section, raw), Username: fields.Username, Groups: fields.Groups}
}

// equalEntries reports whether two results of decodeEntry are equal.
func equalEntries(a, b awsauth.Entry) bool {
	return a.ARN == b.ARN && a.Username == b.Username && slices.Equal(a.Groups, b.Groups)
}

// otherFields returns, as JSON, the fields of an element that awsauth.Entry doesn't hold.
func otherFields(raw json.RawMessage) string {
	return string(changedJSON(raw, func(fields map[string]any) {
		for key := range fields {
			switch strings.ToLower(key) {
			case "rolearn", "userarn", "username", "groups":
				delete(fields, key)
			}
		}
	}))
}

func keysOf(raw json.RawMessage) []string {
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields) // an element that is not a mapping has no keys
	return slices.Sorted(maps.Keys(fields))
}

// changedJSON returns an element after a change of its fields. It returns an element that is not a mapping unchanged.
func changedJSON(raw json.RawMessage, change func(map[string]any)) json.RawMessage {
	var fields map[string]any
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return raw
	}
	change(fields)
	return mustJSON(fields)
}

// replacedJSON returns an element with the values of an entry.
func replacedJSON(raw json.RawMessage, e awsauth.Entry) json.RawMessage {
	return changedJSON(raw, func(fields map[string]any) {
		for key := range fields {
			if strings.EqualFold(key, e.ARNKey()) || strings.EqualFold(key, "username") || strings.EqualFold(key, "groups") {
				delete(fields, key)
			}
		}
		fields[e.ARNKey()], fields["username"], fields["groups"] = e.ARN, e.Username, e.Groups
	})
}
