package chart_test

import (
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TestNames: names that YAML would read as a boolean or a number stay text, because the chart quotes them. decode fails the test
// if the name isn't text. The Service has the expected name.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		for name, tt := range map[string]struct {
			release, namespace string
			set                string
			want               string // the Service's name; empty if the chart refuses the names
		}{
			"on":                         {"on", "123", "nameOverride=on", "on"},
			"null":                       {"awsauth-guard", "1e3", "fullnameOverride=null-", ""},
			"yes":                        {"yes", "awsauth-guard", "fullnameOverride=yes", "yes"},
			"a ServiceAccount":           {"true", "0x1", "serviceAccount.name=123", "true-awsauth-guard"},
			"an existing ServiceAccount": {"off", "1", "serviceAccount.name=1e3", "off-awsauth-guard"},
			"a number":                   {"123", "08", "nameOverride=123,fullnameOverride=n", "n"},
			"dots":                       {"my.guard", "awsauth-guard", "nameOverride=guards", "my-guard-guards"},
		} {
			t.Run(values+" "+name, func(t *testing.T) {
				t.Parallel()
				text, err := helm(t, "template", tt.release, chart, "--namespace", tt.namespace, "--kube-version", "1.36.3",
					"--values", filepath.Join("testdata", "values", values+".yaml"),
					"--set", fmt.Sprintf("serviceAccount.create=%t", name != "an existing ServiceAccount"), "--set-string", tt.set)
				if tt.want == "" {
					if err == nil {
						t.Error("accepted")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				objects := decode(t, text)
				for i := range objects {
					o := &objects[i]
					if o.GetName() == "" || o.GetNamespace() != tt.namespace && o.GetNamespace() != "" && o.GetNamespace() != "kube-system" ||
						o.GetLabels()["app.kubernetes.io/instance"] != tt.release {
						t.Errorf("%s: name %q, namespace %q, labels %v", o.GetKind(), o.GetName(), o.GetNamespace(), o.GetLabels())
					}
				}
				if values == "everything" || values == "single" {
					return // these value sets have their own names
				}
				if got := one[corev1.Service](t, objects).Name; got != tt.want {
					t.Errorf("the Service is %q, want %q", got, tt.want)
				}
			})
		}
	}
}

// TestServiceNames: the name of the Service has at most 50 characters, so that other objects can add suffixes to it. It is valid:
// a Service's name begins with a letter and has no dots. The chart refuses other names.
func TestServiceNames(t *testing.T) {
	t.Parallel()
	const fifty = "a123456789-123456789-123456789-123456789-123456789"
	for name, tt := range map[string]struct {
		release, set string
		want         string // the name, or a part of the error
		refused      bool
	}{
		"longest":                     {"guard", "fullnameOverride=" + fifty, fifty, false},
		"one longer":                  {"guard", "fullnameOverride=" + fifty + "x", "/fullnameOverride", true},
		"begins with a digit":         {"guard", "fullnameOverride=1e3", "/fullnameOverride", true},
		"a dot":                       {"guard", "fullnameOverride=a.b", "/fullnameOverride", true},
		"ends with a dash":            {"guard", "fullnameOverride=a-", "/fullnameOverride", true},
		"long nameOverride":           {"guard", "nameOverride=" + fifty + "x", "/nameOverride", true},
		"a release of digits":         {"123", "nameOverride=guard", "set fullnameOverride", true},
		"a release of digits, helped": {"123", "fullnameOverride=guard", "guard", false},
		"a release with dots":         {"eu.west.guard", "nameOverride=guard", "eu-west-guard", false},
		"cut at a dot":                {"a123456789-123456789-123456789-123456789-12345678.x", "nameOverride=guard", "a123456789-123456789-123456789-123456789-12345678", false},
		"cut at dashes":               {"a123456789-123456789-123456789-123456789-1234567--x", "nameOverride=guard", "a123456789-123456789-123456789-123456789-1234567", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := helm(t, "template", tt.release, chart, "--kube-version", "1.36.3", "--set-string", tt.set)
			if tt.refused {
				if err == nil {
					t.Fatal("accepted")
				}
				wantSays(t, err.Error(), tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			service := one[corev1.Service](t, decode(t, text))
			if service.Name != tt.want {
				t.Errorf("the Service is %q, want %q", service.Name, tt.want)
			}
			for _, problem := range validation.IsDNS1035Label(service.Name) {
				t.Errorf("%q: %s", service.Name, problem)
			}
		})
	}
}
