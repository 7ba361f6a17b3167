package awsauth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yamlv2 "go.yaml.in/yaml/v2"
)

// maxTokens limits the elements, keys and flow values of an object's sections together, as they are
// written, and of each with its aliases unfolded. A review of a text with many more has taken seconds and
// most of a gigabyte, because each costs a node in several trees. An entry of aws-auth has some seven
// in 150 bytes, so that a ConfigMap that is full of entries has fewer: 1 MiB holds 50,000.
const maxTokens = 1 << 16

// maxUnfolded limits the bytes of text that a section has with its aliases unfolded. A ConfigMap
// holds 1 MiB, and people use aliases to write less, not four times as much. yaml.v2 limits the
// number of nodes but not their size: 127 KiB of text have become 1.7 GiB of memory.
const maxUnfolded = 4 << 20

// maxDirectives limits the lines of a section that begin with a percent sign. YAML has two directives, and
// aws-auth needs none. Both readers compare each %TAG with all before it: 76,000 took 21 s.
const maxDirectives = 16

// maxAtRandom limits the entries that match one caller, of which the authenticator picks one at random: their ARNs
// differ in case only. Two are a mistake. Rules compare each of them before a change with each after it,
// and 4,500 took 9 s.
const maxAtRandom = 64

// errExpensive is wrapped by the loss of a section that is not decoded because of what it could cost.
var errExpensive = errors.New("it is too expensive to evaluate")

// checkLimits returns the sections that are not decoded because they could cost more than any
// aws-auth that people write, and why. A decoder cannot be stopped, so it looks at the texts alone. Of
// the tokens each section has what those before it leave over.
func (o *Object) checkLimits() map[Section]error {
	var expensive map[Section]error
	left := maxTokens
	for _, s := range Sections() {
		directives, tokens := countCosts(o.text(s))
		var err error
		switch {
		case directives > maxDirectives:
			err = fmt.Errorf("%w: %d of its lines begin with a percent sign, and the limit is %d", errExpensive, directives, maxDirectives)
		case tokens > left:
			err = fmt.Errorf("%w: it has %d elements and keys, and of %d for all keys %d are left for it", errExpensive, tokens, maxTokens, left)
		default:
			left -= tokens
			continue
		}
		if expensive == nil {
			expensive = make(map[Section]error)
		}
		expensive[s] = err
	}
	return expensive
}

// countCosts counts the lines that can be directives, and dashes, colons and question marks that
// begin or end something, commas and brackets. In plain text it counts too many, and never too few.
// Lines end as they do in YAML 1.1. A comment costs nothing: a line that begins with a number sign
// and has no quote is a comment or within a scalar, wherever it stands.
func countCosts(text string) (directives, tokens int) {
	line := true                  // only blanks stand between the beginning of the line and here
	utf := utf8.ValidString(text) // else it may be UTF-16, in which lines end in other ways
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n' || c == '\r':
			line = true
			continue
		case c >= utf8.RuneSelf:
			if n := breakLen(text, i); n > 0 {
				line = true
				i += n - 1
			}
			continue // a byte order mark may stand before what begins a line
		case c == '%' && line:
			directives++
		case c == '#' && line && utf:
			if n := lineLen(text, i); !strings.ContainsAny(text[i:i+n], `"'`) {
				i += n - 1
				continue
			}
		case c == ',' || c == '[' || c == '{':
			tokens++
		case c == '-' || c == ':' || c == '?':
			if i+1 == len(text) || text[i+1] <= ' ' || text[i+1] >= utf8.RuneSelf || strings.IndexByte(",[]{}", text[i+1]) >= 0 ||
				i > 0 && strings.IndexByte("\"'", text[i-1]) >= 0 {
				tokens++
			}
		}
		line = line && (text[i] == ' ' || text[i] == '\t' || text[i] == 0)
	}
	return directives, tokens
}

// checkAtRandom refuses a section in which many entries match one caller.
func checkAtRandom(keys index) error {
	for _, entries := range keys {
		if len(entries) > maxAtRandom {
			return fmt.Errorf("%w: it has more than %d entries whose ARNs differ in case only", errExpensive, maxAtRandom)
		}
	}
	return nil
}

// checkUnfolded refuses a text whose aliases unfold to too much. yaml.v2 decodes it first: it stops
// after 400,000 nodes of aliases by itself, and shares their texts. Errors are those of yaml.v2: the
// authenticator gets them, too.
func checkUnfolded(text string) error {
	if !strings.Contains(text, "*") || !strings.Contains(text, "&") {
		return nil
	}
	var value any
	if err := yamlv2.Unmarshal([]byte(text), &value); err != nil {
		return nil //nolint:nilerr // decoding the section meets it again, and says so
	}
	var u unfolding
	u.add(value)
	if u.nodes > maxTokens || u.bytes > maxUnfolded {
		return fmt.Errorf("%w: its aliases stand for more than %d elements and keys or %d MiB", errExpensive, maxTokens, maxUnfolded>>20)
	}
	return nil
}

// unfolding adds up the nodes of a decoded text and the bytes of its scalars.
type unfolding struct{ nodes, bytes int }

func (u *unfolding) add(value any) {
	u.nodes++
	if u.nodes > maxTokens || u.bytes > maxUnfolded {
		return
	}
	switch value := value.(type) {
	case string:
		u.bytes += len(value)
	case []any:
		for _, v := range value {
			u.add(v)
		}
	case map[any]any:
		for k, v := range value {
			u.add(k)
			u.add(v)
		}
	}
}
