package migrate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

// formPlan returns a plan with all kinds of access entries, and with names that the forms must quote. One of the access
// entries exists already.
func formPlan() migrate.Plan {
	hostile := `it's "$HOME" ${x} %{y} $(id) \ ` + "`ü` file:///etc/passwd"
	d := document(
		[]string{
			role(iam+"role/Admin", "admin", "system:masters", "breakglass"),
			role(iam+"role/admin.x", "x"), role(iam+"role/admin_x", "y:{{SessionName}}"), role(iam+"role/1", "1"),
			role("arn:aws:iam::444455556666:role/Admin", "file:///etc/passwd", hostile, "- a"),
			role(iam+"role/nodes", "system:node:{{EC2PrivateDNSName}}", "system:bootstrappers", "system:nodes"),
			role(iam+"role/ops", "aws:ops"),
		},
		[]string{user(iam+"user/bob", "bob", "system:masters")},
	)
	existing := access.AccessEntry{PrincipalARN: iam + "user/bob", Type: "STANDARD", Username: "bob", Policies: []access.AccessPolicy{{ARN: cluster + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}}
	return migrate.New(migrate.Input{Document: d, NoRolePaths: true, Cluster: &access.Cluster{AccessEntries: []access.AccessEntry{existing}}})
}

// The same plan gives the same bytes in each form. UPDATE_GOLDEN=1 writes them.
func TestFormsAreStable(t *testing.T) {
	t.Parallel()
	for _, form := range migrate.Forms() {
		for suffix, d := range map[string]migrate.Destination{"": {Cluster: "prod", Region: "eu-west-1"}, "-unnamed": {}} {
			name := filepath.Join("testdata", "forms", string(form)+suffix+".txt")
			text, err := formPlan().Write(form, d)
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(text)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	if _, err := formPlan().Write("other", migrate.Destination{}); err == nil {
		t.Error("an unknown form has no error")
	}
}

// The forms in YAML have the principals, usernames and groups of the plan. They leave out a principal whose access entry
// exists already.
func TestManifestsKeepEveryName(t *testing.T) {
	t.Parallel()
	p := formPlan()
	want := make(map[string][]string)
	for _, m := range p.Move {
		if m.Existing != "" {
			continue
		}
		want[m.PrincipalARN] = nil
		if m.Type == "STANDARD" {
			want[m.PrincipalARN] = append([]string{m.Username}, m.Groups...)
		}
	}
	for form, decode := range map[migrate.Form]func(*testing.T, []byte) map[string][]string{
		migrate.FormEksctl: func(t *testing.T, text []byte) map[string][]string {
			t.Helper()
			var config struct {
				AccessConfig struct {
					AccessEntries []struct {
						PrincipalARN, KubernetesUsername string
						KubernetesGroups                 []string
					}
				}
			}
			if err := yaml.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			got := make(map[string][]string)
			for _, e := range config.AccessConfig.AccessEntries {
				got[e.PrincipalARN] = names(e.KubernetesUsername, e.KubernetesGroups)
			}
			return got
		},
		migrate.FormCloudFormation: func(t *testing.T, text []byte) map[string][]string {
			t.Helper()
			var template struct {
				Resources map[string]struct {
					Properties struct {
						PrincipalArn, Username string
						KubernetesGroups       []string
					}
				}
			}
			if err := yaml.Unmarshal(text, &template); err != nil {
				t.Fatal(err)
			}
			got := make(map[string][]string)
			for _, r := range template.Resources {
				got[r.Properties.PrincipalArn] = names(r.Properties.Username, r.Properties.KubernetesGroups)
			}
			return got
		},
		migrate.FormACK: func(t *testing.T, text []byte) map[string][]string {
			t.Helper()
			got := make(map[string][]string)
			for document := range strings.SplitSeq(string(text), "\n---\n") {
				var object struct {
					Spec struct {
						PrincipalARN, Username string
						KubernetesGroups       []string
					}
				}
				if err := yaml.Unmarshal([]byte(document), &object); err != nil {
					t.Fatal(err)
				}
				got[object.Spec.PrincipalARN] = names(object.Spec.Username, object.Spec.KubernetesGroups)
			}
			return got
		},
	} {
		text, err := p.Write(form, migrate.Destination{Cluster: "prod"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, decode(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
	}
}

func names(username string, groups []string) []string {
	if username == "" {
		return groups
	}
	return append([]string{username}, groups...)
}
