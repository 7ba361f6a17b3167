package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCertManagerManifests compares what is there for installations without Helm with the chart.
func TestCertManagerManifests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../certs/cert-manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	specs := func(objects []object) map[string]any {
		found := make(map[string]any)
		for i := range objects {
			if o := &objects[i]; o.GroupVersionKind().Group == "cert-manager.io" {
				found[o.GetNamespace()+" "+o.id()] = o.Object["spec"]
			}
		}
		return found
	}
	if diff := cmp.Diff(specs(render(t, "cert-manager")), specs(decode(t, string(text)))); diff != "" {
		t.Errorf("certs/cert-manager.yaml (-chart +it):\n%s", diff)
	}
}

// TestInstallValues renders the values that docs/install.md begins with.
func TestInstallValues(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?s)\$ cat > guard\.yaml\n(.*?)\$ `).FindSubmatch(page)
	if match == nil {
		t.Fatal("the page has no guard.yaml")
	}
	file := filepath.Join(t.TempDir(), "guard.yaml")
	if err := os.WriteFile(file, match[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := template(t, "--values", file); err != nil {
		t.Error(err)
	}
}
