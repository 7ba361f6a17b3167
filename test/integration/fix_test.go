package integration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestFixCorrectsStoredObject: fix writes the corrections of the stored aws-auth in one edit. It writes nothing in a dry run, if the rules
// deny the edit, or if the user can't confirm it.
func TestFixCorrectsStoredObject(t *testing.T) {
	p := newPlugin(t)
	path := strings.Replace(ci, "role/CI", "role/team/CI", 1)
	tab := strings.Replace(alice, "  username", "\tusername", 1)
	bypass := strings.Replace(ci, "deployers", validate.DefaultBypassGroup, 1)
	for name, test := range map[string]struct {
		before         data
		args           string
		status         int
		stdout, stderr string // a part of each output
		after          data
	}{
		"several faults": {
			base().with("mapRoles", admin+node+path).with("mapUsers", tab), "--yes", 0,
			"+ arn:aws:iam::111122223333:role/CI\n    username: ci\n    groups:   deployers\n",
			"note: corrected data.mapRoles[2].rolearn: ", base().with("mapRoles", admin+node+ci),
		},
		"a dry run": {
			base().with("mapRoles", admin+node+path), "--dry-run", 0, "configmap/aws-auth edited (server dry run)\n", "",
			base().with("mapRoles", admin+node+path),
		},
		"a misspelt key under data": {
			data{"mapRoles": admin + node, "mapusers": alice}, "--yes", 0, "configmap/aws-auth edited\n", "corrected data.mapusers", base(),
		},
		"nothing to correct": {base(), "--yes", 0, "configmap/aws-auth unchanged\n", "", base()},
		"no confirmation": {
			base().with("mapRoles", admin+node+path), "", 2, "", "cannot ask for confirmation without a terminal", base().with("mapRoles", admin+node+path),
		},
		"the rules deny the access that a correction gives": {
			base().with("mapRoles", admin+node+strings.Replace(bypass, "rolearn", "role_arn", 1)), "--yes", 1, "[bypass-grant]",
			"the rules deny the edit, and nothing was written", base().with("mapRoles", admin+node+strings.Replace(bypass, "rolearn", "role_arn", 1)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			store(t, test.before)
			status, stdout, stderr := p.run(t.Context(), t, "", append([]string{"awsauth", "fix"}, strings.Fields(test.args)...)...)
			if status != test.status || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("status %d, stdout\n%sstderr\n%s", status, stdout, stderr)
			}
			if diff := cmp.Diff(map[string]string(test.after), stored(t).Data); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
