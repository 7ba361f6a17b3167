package chart_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestLint: helm lint finds no fault in the chart with any value set.
func TestLint(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		if _, err := helm(t, "lint", "--strict", "--quiet", "--kube-version", "1.36.3", "--values", filepath.Join("testdata", "values", values+".yaml"), chart); err != nil {
			t.Error(err)
		}
	}
}

// TestKubeVersion: Helm renders the chart for Kubernetes 1.30 and later, also for a version in the form that EKS uses. For an earlier
// version, it refuses the chart.
func TestKubeVersion(t *testing.T) {
	t.Parallel()
	for version, supported := range map[string]bool{"1.30.0": true, "v1.30.14-eks-931bdca": true, "v1.36.3": true, "v1.29.15-eks-bc803b4": false} {
		_, err := helm(t, "template", release, chart, "--kube-version", version)
		if (err == nil) != supported {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestBadValues sets one wrong value in each case, and checks helm's error.
func TestBadValues(t *testing.T) {
	t.Parallel()
	const protected = `guardConfig: {protected: [{arn: "%s", groups: ["system:masters"]}]}`
	for name, tt := range map[string]struct{ values, want string }{
		"unknown value":             {`replicas: 2`, "'replicas' not allowed"},
		"unknown value inside":      {`image: {name: x}`, "'name' not allowed"},
		"unknown GuardConfig field": {`guardConfig: {protekted: []}`, "'protekted' not allowed"},
		"a default taken away":      {`guardConfig: {overrides: null}`, "missing property 'overrides'"},

		"mode off":             {`guardConfig: {mode: off}`, "/guardConfig/mode"},
		"mode deny":            {`guardConfig: {mode: deny}`, "must be one of 'enforce', 'warn'"},
		"unknown rule":         {`guardConfig: {rules: {deletd: warn}}`, "'deletd' not allowed"},
		"unknown severity":     {`guardConfig: {rules: {deleted: error}}`, "must be one of 'deny', 'warn', 'off', false"},
		"severity on":          {`guardConfig: {rules: {deleted: on}}`, "must be one of 'deny', 'warn', 'off', false"},
		"severities in list":   {`guardConfig: {rules: [deleted]}`, "/guardConfig/rules"},
		"protected - a string": {`guardConfig: {protected: ["arn:aws:iam::111122223333:role/Admin"]}`, "/guardConfig/protected/0"},
		"protected - no group": {`guardConfig: {protected: [{arn: "arn:aws:iam::111122223333:role/Admin", groups: []}]}`, "minItems"},
		"protected - no ARN":   {strings.Replace(protected, "%s", "Admin", 1), "/guardConfig/protected/0/arn"},
		"protected - a path":   {strings.Replace(protected, "%s", "arn:aws:iam::111122223333:role/team/Admin", 1), "write arn:aws:iam::111122223333:role/Admin"},
		"protected - a session": {
			strings.Replace(protected, "%s", "arn:aws:sts::111122223333:assumed-role/Admin/me", 1), "write the role's ARN",
		},
		"no admin group":                 {`guardConfig: {adminGroups: []}`, "/guardConfig/adminGroups"},
		"protected - a group":            {strings.Replace(protected, "%s", "arn:aws:iam::111122223333:group/team/Admin", 1), "/guardConfig/protected/0/arn"},
		"protected twice":                {`guardConfig: {protected: [{arn: "arn:aws:iam::111122223333:role/Admin", groups: [a]}, {arn: "arn:aws:iam::111122223333:role/admin", groups: [b]}]}`, "already protected by protected[0]"},
		"access entry twice":             {`guardConfig: {accessEntries: ["arn:aws:iam::111122223333:role/a/b", "arn:aws:iam::111122223333:role/b"]}`, "stands twice, first as accessEntries[0]"},
		"a blank that \\s does not know": {`guardConfig: {adminGroups: ["ops\u00a0"]}`, "white space at an end"},
		"PrometheusRule":                 {`prometheusRule: {enabled: "yes"}`, "/prometheusRule/enabled"},
		"dashboard":                      {`dashboard: {labels: {grafana_dashboard: 1}}`, "/dashboard/labels/grafana_dashboard"},
		"access entry - no ARN":          {`guardConfig: {accessEntries: [Admin]}`, "/guardConfig/accessEntries/0"},
		"overrides by everybody":         {`guardConfig: {overrides: {groups: ["system:authenticated"]}}`, "not a group of administrators"},
		"overrides by pods":              {`guardConfig: {overrides: {groups: ["system:serviceaccounts:ci"]}}`, "not a group of administrators"},
		"overrides - a blank":            {`guardConfig: {overrides: {groups: [" on-call"]}}`, "/guardConfig/overrides/groups/0"},
		"bypass by system:masters":       {`bypass: {group: "system:masters"}`, "group of Kubernetes itself"},
		"bypass by everybody":            {`bypass: {group: "system:authenticated"}`, "group of Kubernetes itself"},
		"bypass - none":                  {`bypass: {group: ""}`, "/bypass/group"},
		"bypass that ends the CEL":       {`bypass: {group: 'x" in [] || true || "x'}`, "/bypass/group"},
		"failurePolicy":                  {`webhook: {failurePolicy: ignore}`, "must be one of 'Fail', 'Ignore'"},
		"backstop":                       {`backstop: {enabled: always}`, "/backstop/enabled"},
		"no replica":                     {`replicaCount: 0`, "/replicaCount"},
		"replicas - a string":            {`replicaCount: "2"`, "/replicaCount"},
		"privileged port":                {`ports: {webhook: 443}`, "/ports/webhook"},
		"one port twice":                 {`ports: {metrics: 9443}`, "ports: two of"},
		"one replica on the host":        {`{hostNetwork: true, replicaCount: 1}`, "no pod would answer"},
		"digest without algorithm":       {`image: {digest: 0123}`, "/image/digest"},
		"digest in the repository":       {`image: {repository: "ghcr.io/x@sha256:0"}`, "/image/repository"},
		"tag in the repository":          {`image: {repository: "ghcr.io/x:v1"}`, "/image/repository"},
		"tag without a registry":         {`image: {repository: "x:v1"}`, "/image/repository"},
		"tag behind a port":              {`image: {repository: "localhost:5000/x:v1"}`, "/image/repository"},
		"a policy of Helm's":             {`commonAnnotations: {helm.sh/resource-policy: keep}`, `commonAnnotations: "helm.sh/resource-policy" is for Helm`},
		"a release of Helm's":            {`commonAnnotations: {meta.helm.sh/release-name: x}`, `commonAnnotations: "meta.helm.sh/release-name" is for Helm`},
		"the guard's CA":                 {`commonAnnotations: {awsauth-guard.io/ca: x/y}`, `commonAnnotations: "awsauth-guard.io/ca" is for Helm and the guard`},
		"a label of Helm's":              {`commonLabels: {helm.sh/chart: x}`, `commonLabels: "helm.sh/chart" is for Helm`},
		"a hook":                         {`serviceAccount: {annotations: {helm.sh/hook: pre-install}}`, `serviceAccount.annotations: "helm.sh/hook" is for Helm`},
		"a line break in a group":        {`{webhook: {failurePolicy: Ignore}, guardConfig: {overrides: {groups: ["on\u0085call"]}}}`, "guardConfig.overrides.groups[0]"},
		"a control character in a group": {`{webhook: {failurePolicy: Ignore}, guardConfig: {overrides: {groups: ["on\u0001call"]}}}`, "guardConfig.overrides.groups[0]"},
		"pull secret - a string":         {`imagePullSecrets: [registry]`, "/imagePullSecrets/0"},
		"certs.mode":                     {`certs: {mode: selfsigned}`, "must be one of 'self-managed', 'cert-manager', 'secret'"},
		"secret without a name":          {`certs: {mode: secret, secret: {caBundle: "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}}`, "certs.secret.name"},
		"secret without a CA":            {`certs: {mode: secret, secret: {name: tls}}`, "certs.secret.caBundle"},
		"CA in base64":                   {`certs: {mode: secret, secret: {name: tls, caBundle: LS0tLS1CRUdJTg==}}`, "/certs/secret/caBundle"},
		"CA that is not used":            {`certs: {secret: {caBundle: "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}}`, "has no effect"},
		"issuer that is not used":        {`certs: {certManager: {issuerRef: {name: ca}}}`, "has no effect"},
		"issuer without a name":          {`certs: {mode: cert-manager, certManager: {issuerRef: {kind: ClusterIssuer}}}`, "issuerRef"},
		"client CAs twice":               {`clientAuth: {configMap: a, secret: b}`, "both set"},
		"client name without CAs":        {`clientAuth: {name: kube-apiserver}`, "clientAuth.name: has no effect"},
		"client CAs in place":            {`clientAuth: {configMap: "-----BEGIN CERTIFICATE-----"}`, "/clientAuth/configMap"},
		"log level":                      {`log: {level: trace}`, "/log/level"},
		"log format":                     {`log: {format: xml}`, "/log/format"},
		"no ServiceAccount":              {`serviceAccount: {create: false}`, "serviceAccount.name: is empty"},
		"annotation - a number":          {`podAnnotations: {x: 1}`, "/podAnnotations/x"},
		"resources":                      {`resources: {claims: []}`, "'claims' not allowed"},
		"interval":                       {`serviceMonitor: {interval: often}`, "/serviceMonitor/interval"},
		"ports of the API server":        {`networkPolicy: {apiServerPorts: []}`, "/networkPolicy/apiServerPorts"},
		"affinity":                       {`affinity: {nodeSelector: {}}`, "'nodeSelector' not allowed"},
		"environment without names":      {`extraEnv: [{value: x}]`, "/extraEnv/0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(tt.values), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := template(t, "--values", file); err == nil {
				t.Errorf("%s is accepted", tt.values)
			} else if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: helm says %v, want %s", tt.values, err, tt.want)
			}
		})
	}
}

// TestGoodValues: the chart accepts valid values that resemble wrong ones of TestBadValues.
func TestGoodValues(t *testing.T) {
	t.Parallel()
	for _, set := range []string{
		"image.repository=localhost:5000/x", "image.repository=x", "image.repository=localhost:5000/a/x",
		"image.repository=111122223333.dkr.ecr.eu-west-1.amazonaws.com/awsauth-guard",
		"commonAnnotations.example\\.com/helm\\.sh=x", "commonLabels.nothelm\\.sh/x=y", "nodeSelector.kubernetes\\.io/os=null",
	} {
		if _, err := template(t, "--set", set); err != nil {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// TestGroupsInTheBackstop: the expression of the backstop has the exact name of a group, even if the name has characters that YAML or
// CEL could misread.
func TestGroupsInTheBackstop(t *testing.T) {
	t.Parallel()
	group := `"a\'{{b}}: #c\u00a0\u2028\u2029\U0001f600` + "`" + `"`
	text, err := json.Marshal([]string{group})
	if err != nil {
		t.Fatal(err)
	}
	objects := render(t, "ignore", "--set-json", "guardConfig.overrides.groups="+string(text))
	policy := one[admissionregistrationv1.ValidatingAdmissionPolicy](t, objects)
	i := slices.IndexFunc(policy.Spec.Variables, func(v admissionregistrationv1.Variable) bool { return v.Name == "breakGlass" })
	if want := string(text) + ".exists("; !strings.Contains(policy.Spec.Variables[i].Expression, want) {
		t.Errorf("the expression does not contain %s:\n%s", want, policy.Spec.Variables[i].Expression)
	}
}

// TestSeverityOff: the chart accepts the severity off with quotes, without quotes (which Helm's YAML reads as false), as false, and
// from --set.
func TestSeverityOff(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte("guardConfig:\n  rules:\n    deleted: off\n    immutable: \"off\"\n    emptied: false\n    role-path: warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := render(t, "default", "--values", file, "--set", "guardConfig.rules.last-admin=off")
	c, err := config.Parse("guardconfig.yaml", []byte(named[corev1.ConfigMap](objects, release).Data["guardconfig.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]validate.Severity{
		"deleted": validate.Off, "immutable": validate.Off, "emptied": validate.Off, "last-admin": validate.Off, "role-path": validate.Warn,
	}
	if !maps.Equal(c.Rules, want) {
		t.Errorf("got %v, want %v", c.Rules, want)
	}
}

// newFields has the fields of the GuardConfig that the values of an older release may not have.
var newFields = []string{"history", "iam", "restore", "selfTest"}

// TestWithoutNewFields: if the values don't have a field of newFields, the guard uses the default of the field. After an older
// chart, helm upgrade --reuse-values uses such values.
func TestWithoutNewFields(t *testing.T) {
	t.Parallel()
	want := effective(t, render(t, "default"))
	for _, field := range append([]string{"iam.mode", "iam.budget", "iam.accounts", "restore.maxPerHour"}, newFields...) {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			objects := render(t, "default", "--set", "guardConfig."+field+"=null")
			if text := named[corev1.ConfigMap](objects, release).Data["guardconfig.yaml"]; strings.Contains(text, "null") {
				t.Errorf("the GuardConfig has a field with the value null:\n%s", text)
			}
			if diff := cmp.Diff(want, effective(t, objects)); diff != "" {
				t.Errorf("(-with it +without):\n%s", diff)
			}
		})
	}
	if _, err := template(t, "--set", "guardConfig.iam=null,guardConfig.selfTest=null,guardConfig.history=null,guardConfig.restore=null"); err != nil {
		t.Error(err)
	}
}

// effective returns the rendered GuardConfig, in which the guard has set the defaults of the absent fields.
func effective(t *testing.T, objects []object) string {
	t.Helper()
	c, err := config.Parse("guardconfig.yaml", []byte(named[corev1.ConfigMap](objects, release).Data["guardconfig.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Effective().YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSchemaOfGuardConfig derives the schema of the chart's value guardConfig from the schema of the GuardConfig file, and compares
// it with values.schema.json.
func TestSchemaOfGuardConfig(t *testing.T) {
	t.Parallel()
	const path = chart + "/values.schema.json"
	var guard, values map[string]any
	for file, into := range map[string]*map[string]any{"../../docs/guardconfig.schema.json": &guard, path: &values} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	// The chart writes apiVersion and kind, so the schema doesn't have them. For every other field the chart has a
	// default. A user could delete a default with null, so the schema requires these fields. It doesn't require
	// newFields, because with --reuse-values the values of an older chart don't have them.
	properties := guard["properties"].(map[string]any)
	delete(guard, "$schema")
	delete(properties, "apiVersion")
	delete(properties, "kind")
	guard["required"] = slices.DeleteFunc(slices.Sorted(maps.Keys(properties)), func(name string) bool {
		return slices.Contains(newFields, name)
	})
	properties["overrides"].(map[string]any)["required"] = []string{"groups"}

	// The schema permits a role's path and the ARN of a session, because validate.yaml has a better message for them.
	arn := properties["protected"].(map[string]any)["items"].(map[string]any)["properties"].(map[string]any)["arn"].(map[string]any)
	arn["pattern"] = strings.NewReplacer("|role/", "|role/([!-~]*/)?", "|sts::[0-9]{12}:", "|sts::[0-9]{12}:assumed-role/[!-~]*|sts::[0-9]{12}:").Replace(arn["pattern"].(string))

	values["definitions"].(map[string]any)["GuardConfig"] = guard
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, path, unescaped(string(text))+"\n")
}

// unescaped replaces the escapes that package json writes for HTML.
func unescaped(text string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text)
}

// TestDefaults: the defaults in values.yaml are the same as the guard's own defaults.
func TestDefaults(t *testing.T) {
	t.Parallel()
	got := effective(t, render(t, "default"))
	want, err := config.Default().Effective().YAML()
	if err != nil {
		t.Fatal(err)
	}
	clean := strings.NewReplacer("protected: []\n", "", "accessEntries: []\n", "")
	if clean.Replace(got) != clean.Replace(string(want)) {
		t.Errorf("the chart's defaults are\n%s\nthe guard's are\n%s", got, want)
	}
}

// TestRightsOverAWSAuth: of the ConfigMaps in kube-system, the webhook may only list and watch aws-auth. The values
// for the self-test and for restores add the rights that their comments in values.yaml name.
func TestRightsOverAWSAuth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags []string
		want  []string // VERB NAME, or VERB alone if the right is not limited to a name
	}{
		{nil, []string{"list aws-auth", "watch aws-auth"}},
		{[]string{"--set", "guardConfig.selfTest.enabled=true"}, []string{"delete aws-auth", "list aws-auth", "watch aws-auth"}},
		{[]string{"--set", "guardConfig.restore.enabled=true"}, []string{"create", "list aws-auth", "update aws-auth", "watch aws-auth"}},
	} {
		objects := render(t, "default", tt.flags...)
		var got []string
		for i := range objects {
			role, ok := objects[i].Typed.(*rbacv1.Role)
			if !ok || role.Namespace != "kube-system" || role.Name != release {
				continue // not the Role of the webhook in kube-system
			}
			for _, rule := range role.Rules {
				for _, verb := range rule.Verbs {
					if slices.Contains(rule.Resources, "configmaps") {
						got = append(got, strings.TrimSpace(verb+" "+strings.Join(rule.ResourceNames, ",")))
					}
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.flags, got, tt.want)
		}
	}
}
