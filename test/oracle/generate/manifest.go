package generate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// ManifestText returns the new version as a manifest. It returns false if Manifest is Live, or if the version can't be
// written in this kind of manifest.
func (c *Change) ManifestText() ([]byte, bool) {
	metadata := map[string]any{"name": "aws-auth", "namespace": "kube-system"}
	switch c.Manifest {
	case Applied:
		text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": c.New})
		return text, err == nil
	case KubectlEdit:
		var b strings.Builder
		b.WriteString("apiVersion: v1\ndata:\n")
		for _, key := range slices.Sorted(maps.Keys(c.New)) {
			b.WriteString("  " + key + ": " + oneLine(c.New[key]) + "\n")
		}
		b.WriteString("kind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\n")
		return []byte(b.String()), len(c.New) > 0
	}
	return nil, false
}

// oneLine returns a text in one line with quotes and escapes. YAML encoders write text in this form if they take it for
// binary. oneLine escapes characters outside of ASCII, because YAML doesn't allow all of them.
func oneLine(text string) string {
	var b strings.Builder
	for _, c := range doubleQuoted(nil, text, "") {
		switch {
		case c < 0x7f:
			b.WriteRune(c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	return b.String()
}
