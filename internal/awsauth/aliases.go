package awsauth

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxUnfolded bounds the text that a section's aliases stand for. A ConfigMap holds 1 MiB, and
// people use aliases to write less, not sixteen times as much. yaml.v2 bounds the number of nodes
// but not their size: 127 KiB of text have become 1.7 GiB of memory.
const maxUnfolded = 16 << 20

// errAliases is wrapped by the loss of a section that is not decoded because of its aliases.
var errAliases = errors.New("its aliases stand for too much text")

// boundAliases refuses a text whose aliases unfold to more than maxUnfolded, before it is decoded.
// It looks at a node tree, in which aliases are not unfolded. A text with aliases that gives no
// tree is refused, too: nobody can say what it unfolds to.
func boundAliases(text string) error {
	if !strings.Contains(text, "*") || !strings.Contains(text, "&") {
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
