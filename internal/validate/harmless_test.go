package validate_test

import (
	"path/filepath"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestHarmless evaluates harmless files and changes that public tools and guides write. A finding would be a
// false alarm, so the verdict must be allow.
func TestHarmless(t *testing.T) {
	for _, c := range cases(t, "testdata/harmless/*.txtar") {
		t.Run(filepath.Base(c.File), func(t *testing.T) {
			if verdict := evaluateCase(t, c); verdict.Action != validate.ActionAllow {
				t.Errorf("the verdict is %s:\n%s", verdict.Action, text(verdict))
			}
		})
	}
}
