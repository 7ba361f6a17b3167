package awsauth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// maxTokens limits the number of elements, keys and flow values in the text of all sections of an object together. If a
// section has aliases, maxTokens also limits the nodes of this section after its aliases are unfolded: its elements,
// keys and values. The review of a text with many more tokens took seconds and most of a gigabyte, because each token
// costs a node in several trees. An entry of aws-auth has about seven tokens in 150 bytes, so a ConfigMap of 1 MiB that
// is full of entries has 50,000 tokens.
const maxTokens = 60_000

// maxUnfolded limits the bytes of a section's texts after its aliases are unfolded. A ConfigMap holds 1 MiB, and a
// normal text does not unfold to four times that size. yaml.v2 limits the number of nodes but not their size: it turned
// a text of 127 KiB into 1.7 GiB of memory.
const maxUnfolded = 4 << 20

// maxBinary limits the bytes that the scalars with the tag !!binary of a section may have after its aliases are unfolded.
// yaml.v2 decodes such a scalar again for each alias, so 2,000 aliases turned a text of 95 KiB into 266 MiB of memory.
const maxBinary = 32 << 20

// maxDirectives limits the lines of a section whose first character other than white space is a percent sign. YAML has
// two directives, and aws-auth needs neither. Both YAML readers compare each %TAG with all earlier ones: 76,000 of them
// took 21 s.
const maxDirectives = 16

// maxAtRandom limits the entries of a section whose ARNs differ only in case. They match the same caller, and the
// authenticator picks one of them at random. Rules compare each of these entries before a change with each of them
// after the change. This took 9 s for 4,500 entries.
const maxAtRandom = 64

// errExpensive is wrapped by the error of a section that is over a limit. The Map holds nothing of such a section.
var errExpensive = errors.New("it is too expensive to evaluate")

// checkLimits returns an error for each section that is over maxDirectives or maxTokens. Such a section must not be
// decoded, because a decoder can't be stopped once it runs. The sections share maxTokens: each section may have the
// number that the sections before it left.
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
			err = fmt.Errorf("%w: it has %d elements and YAML keys; the limit for mapRoles, mapUsers and mapAccounts together is %d, of which %d are left", errExpensive, tokens, maxTokens, left)
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

// countCosts counts the lines that can be directives, and the tokens. Lines end as in YAML 1.1. Tokens are commas,
// opening brackets and braces, and the dashes, colons and question marks that YAML may read as indicators. countCosts
// may count too many tokens, but never too few. In a text in UTF-8 it skips a line that begins with a number sign and
// has no quote, because such a line is a comment or part of a scalar.
func countCosts(text string) (directives, tokens int) {
	line := true                  // whether only blanks precede the current character in its line
	utf := utf8.ValidString(text) // whether the text is UTF-8; lines of UTF-16 end in other ways
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
			continue // line stays true, because a byte order mark may precede the first character of a line
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

// checkAtRandom returns an error if more than maxAtRandom entries of a section match one caller.
func checkAtRandom(keys index) error {
	for _, entries := range keys {
		if len(entries) > maxAtRandom {
			return fmt.Errorf("%w: it has more than %d entries whose ARNs differ in case only", errExpensive, maxAtRandom)
		}
	}
	return nil
}

// mayHaveAliases reports whether a text has the characters that every alias and its anchor begin with. They can also stand
// in comments and scalars.
func mayHaveAliases(text string) bool {
	return strings.Contains(text, "*") && strings.Contains(text, "&")
}

// checkBinary returns an error if the scalars with the tag !!binary of a text may have more than maxBinary bytes after each
// alias is replaced by the node that it stands for. It decodes nothing: it takes each asterisk as an alias of a scalar that
// is as long as the text. A text without an exclamation mark has no tag.
func checkBinary(text string) error {
	if strings.Contains(text, "!") && mayHaveAliases(text) && strings.Count(text, "*")*len(text) > maxBinary {
		return fmt.Errorf("%w: it has tags, and its aliases may stand for more than %d MiB of !!binary values", errExpensive, maxBinary>>20)
	}
	return nil
}

// checkUnfolded returns an error if a text is too large after each alias is replaced by the node that it stands for. It
// decodes the text with yaml.v2 to count the nodes. yaml.v2 limits the share of nodes that come from aliases. In a text
// with at most maxTokens tokens these are fewer than a million. They share the memory of their strings, except scalars
// with the tag !!binary, which checkBinary limits. If yaml.v2 refuses the text, checkUnfolded returns nil.
func checkUnfolded(text string) error {
	if !mayHaveAliases(text) {
		return nil
	}
	var value any
	if err := yamlv2.Unmarshal([]byte(text), &value); err != nil {
		return nil //nolint:nilerr // decoding the section returns the same error
	}
	var u unfolding
	u.add(value)
	if u.nodes > maxTokens || u.bytes > maxUnfolded {
		return fmt.Errorf("%w: with each alias replaced by the text that it stands for, it has more than %d elements, keys and values or %d MiB", errExpensive, maxTokens, maxUnfolded>>20)
	}
	return nil
}

// maxUnfoldedDocument limits the bytes of a document of a file after each alias is replaced by the value that it stands
// for, because the decoder of kubectl writes such a document as JSON. A text of 500 KiB took more than 6 GiB.
const maxUnfoldedDocument = 64 << 20

// unfolds reports whether a document of a file has at most maxUnfoldedDocument bytes after each alias is replaced. If
// yaml.v3 can't read the document, unfolds takes each asterisk as an alias of a value that is as long as the document.
func unfolds(text string) bool {
	if !mayHaveAliases(text) {
		return true
	}
	var document yaml.Node
	if !hasDocument(yaml.NewDecoder(strings.NewReader(text)), &document) {
		return strings.Count(text, "*")*len(text) <= maxUnfoldedDocument
	}
	return unfoldedBytes(&document, make(map[*yaml.Node]int)) <= maxUnfoldedDocument
}

// unfoldedBytes returns the number of bytes of a node after each alias is replaced, or a number over maxUnfoldedDocument
// if there are more. known has the results for other nodes.
func unfoldedBytes(n *yaml.Node, known map[*yaml.Node]int) int {
	if size, ok := known[n]; ok {
		return size
	}
	known[n] = 0 // for a node that holds an alias of itself, which the decoder refuses
	size := len(n.Value) + 1
	if n.Kind == yaml.AliasNode {
		size = unfoldedBytes(n.Alias, known)
	}
	for _, c := range n.Content {
		size = min(size+unfoldedBytes(c, known), maxUnfoldedDocument+1)
	}
	known[n] = size
	return size
}

// unfolding counts the nodes of a decoded text and the bytes of its strings, until one of them is over its limit.
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
