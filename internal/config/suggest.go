package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// fieldHint returns a hint for an unknown key of the struct type t: the most similar key, or all keys.
func fieldHint(t reflect.Type, key string) string {
	names := fieldNames(t)
	if name, ok := nearestName(names, key); ok {
		return "write " + name
	}
	return "the fields are " + strings.Join(names, ", ")
}

// keyName returns a key in printable form, for the path of a field.
func keyName(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode {
		return "(" + describe(key) + " as key)"
	}
	return printableKey(key.Value)
}

func printableKey(key string) string {
	if strconv.Quote(key) != `"`+key+`"` || key == "" {
		return strconv.Quote(key)
	}
	return key
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// describe returns the type of a node in words, such as "a list". It is for messages about a value of the wrong type.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which is not supported"
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return fmt.Sprintf("the boolean %s", n.Value)
	case "!!int", "!!float":
		return fmt.Sprintf("the number %s", n.Value)
	case "!!str":
		return "text"
	default:
		return fmt.Sprintf("a value with the tag %s", tag)
	}
}

// quoteHint returns the end of a hint which says that a scalar must be in quotes to be text. It returns "" if n is
// not a scalar, is empty or is null.
func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Value != "" && n.ShortTag() != "!!null" {
		return fmt.Sprintf(", %q in quotes", n.Value)
	}
	return ""
}

// oneOf returns the values as a list in words: a, b or c. There must be at least two values.
func oneOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// nearestName returns the name that is most similar to key. If a name differs from key only in case, it returns this
// name. Otherwise it returns the first name with the smallest edit distance to key.
//
// nearestName ignores a name if the distance is more than a third of the name's length, or if key is more than twice as
// long as the name. It returns false if no name is left.
func nearestName(names []string, key string) (name string, ok bool) {
	best := 0
	for _, n := range names {
		if strings.EqualFold(n, key) {
			return n, true
		}
		if len(key) > 2*len(n) {
			continue
		}
		if d := textutil.Distance(strings.ToLower(n), strings.ToLower(key)); d <= len(n)/3 && (!ok || d < best) {
			name, best, ok = n, d, true
		}
	}
	return name, ok
}
