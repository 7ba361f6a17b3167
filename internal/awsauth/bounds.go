package awsauth

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxTokens bounds the elements, keys and flow values of a section. A review of a text with many more
// has taken seconds and most of a gigabyte, because each costs a node in several trees. An entry of
// aws-auth has some seven on 150 bytes, so that a full ConfigMap of entries has fewer: 1 MiB holds
// 50,000.
const maxTokens = 1 << 16

// maxUnfolded bounds the text that a section's aliases stand for. A ConfigMap holds 1 MiB, and
// people use aliases to write less, not sixteen times as much. yaml.v2 bounds the number of nodes
// but not their size: 127 KiB of text have become 1.7 GiB of memory.
const maxUnfolded = 16 << 20

// errTokens and errAliases are wrapped by the loss of a section that is not decoded because of what
// it would cost.
var (
	errTokens  = errors.New("it has too many elements and keys")
	errAliases = errors.New("its aliases stand for too much text")
)

// boundText refuses a text that would cost more to judge than any aws-auth that people write.
func boundText(text string) error {
	if n := tokens(text); n > maxTokens {
		return fmt.Errorf("%w: %d, and %d are allowed", errTokens, n, maxTokens)
	}
	return boundAliases(text)
}

// tokens counts dashes and colons that begin or end something, and commas. In plain text it counts
// some too many, which only makes the bound stricter.
func tokens(text string) int {
	n := 0
	for i := range len(text) {
		switch text[i] {
		case ',':
			n++
		case '-', ':', '?':
			if i+1 == len(text) || text[i+1] <= ' ' || i > 0 && text[i-1] == '"' {
				n++
			}
		case '[', '{':
			n++
		}
	}
	return n
}

// boundAliases refuses a text whose aliases unfold to more than maxUnfolded, before it is decoded.
// It looks at a node tree, in which aliases are not unfolded. A text with aliases that gives no
// tree is refused, too: nobody can say what it unfolds to.
func boundAliases(text string) error {
	if !mayHoldAliases(text) {
		return nil
	}
	var root yaml.Node
	if err := yaml.NewDecoder(strings.NewReader(text)).Decode(&root); err != nil {
		return fmt.Errorf("%w, or no reader can tell: %w", errAliases, err)
	}
	u := unfolding{sizes: make(map[*yaml.Node]int)}
	if u.size(&root) > maxUnfolded {
		return fmt.Errorf("%w: more than %d MiB", errAliases, maxUnfolded>>20)
	}
	return nil
}

func mayHoldAliases(text string) bool {
	return strings.Contains(text, "*") && strings.Contains(text, "&")
}

// unfolding adds up the sizes of nodes with their aliases unfolded. Each anchor is counted once.
type unfolding struct{ sizes map[*yaml.Node]int }

// nodeSize stands for what a node takes besides its text.
const nodeSize = 8

func (u unfolding) size(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		if size, ok := u.sizes[n.Alias]; ok {
			return size
		}
		u.sizes[n.Alias] = maxUnfolded // while it is counted: an anchor within itself has no end
		u.sizes[n.Alias] = u.size(n.Alias)
		return u.sizes[n.Alias]
	}
	size := nodeSize + len(n.Value)
	for _, child := range n.Content {
		if size += u.size(child); size > maxUnfolded {
			return maxUnfolded + 1
		}
	}
	return size
}
