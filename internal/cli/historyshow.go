package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

func (a *app) historyShowCommand() *cobra.Command {
	o, format := &historyOptions{}, &outputFormat{value: formatYAML, allowed: []string{formatYAML, formatJSON}}
	accessEntries := false
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Print a version of aws-auth as a manifest",
		Long: `Print a version of aws-auth as a manifest.

The manifest has the content as it was stored. You can apply it, or pass it to diff and lint. Other facts
about the version, such as its time and verdict, go to standard error. With --access-entries the command
prints the cluster's authentication mode and its access entries at that time instead.

Exit status: 0 success, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth history show 7",
			"# Compare a version with the live object",
			"kubectl-awsauth history show 7 | kubectl-awsauth diff -",
		),
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("history show takes exactly one NUMBER, got %d arguments", len(args))
			}
			_, err := parseVersionNumber(args[0])
			return err
		}),
		ValidArgsFunction: o.completeVersion,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.historyShow(cmd.Context(), o, format, args[0], accessEntries)
		},
	}
	o.addTo(cmd)
	format.addFlag(cmd)
	cmd.Flags().BoolVar(&accessEntries, "access-entries", false, "print the access entries that the guard knew when it observed the version")
	return cmd
}

func (a *app) historyShow(ctx context.Context, o *historyOptions, format *outputFormat, text string, accessEntries bool) error {
	n, err := parseVersionNumber(text)
	if err != nil {
		return err
	}
	_, h, err := o.cluster.openHistory(ctx, o.namespace)
	if err != nil {
		return err
	}
	if accessEntries {
		v, err := h.version(n)
		if err != nil {
			return err
		}
		if v.Cluster == nil {
			return fmt.Errorf("version %d of %s has no access entries: the guard did not know them (it reads them if eks.enabled is true), or they were larger than 64 KiB", n, h)
		}
		return outputError(writeObject(a.stdout, format.value, v.Cluster))
	}
	v, err := h.versionWithContent(n)
	if err != nil {
		return err
	}
	a.note("%s", describeVersion(h, &v))
	return outputError(writeManifest(a.stdout, format.value, &v))
}

// describeVersion returns one line about a version: its time, its origin, the rules that refuse its change, its field manager, and the
// verdict for the version by itself with the rules that have findings.
func describeVersion(h storedHistory, v *history.Version) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %d of %s, observed %s, %s", v.Number, h, observedAt(v), v.Origin)
	if len(v.Lost) > 0 {
		fmt.Fprintf(&b, ", denied by [%s]", strings.Join(v.Lost, " "))
	}
	if v.Manager != "" {
		fmt.Fprintf(&b, ", written with %s", v.Manager)
	}
	if v.Verdict != "" {
		fmt.Fprintf(&b, ", verdict %s", v.Verdict)
	}
	if len(v.Rules) > 0 {
		fmt.Fprintf(&b, " [%s]", strings.Join(v.Rules, " "))
	}
	return b.String()
}

// manifest is a manifest of aws-auth for kubectl apply. It has the fields that the history stores.
type manifest struct {
	metav1.TypeMeta `json:",inline"`

	Metadata   manifestName      `json:"metadata"`
	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
}

type manifestName struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// writeManifest writes a version as a manifest in YAML or JSON. If YAML can't represent a value exactly, it writes JSON instead, because
// JSON is also valid YAML.
func writeManifest(w io.Writer, format string, v *history.Version) error {
	m := manifest{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		Metadata: manifestName{awsauth.Name, awsauth.Namespace}, Immutable: v.Immutable, Data: v.Data, BinaryData: v.BinaryData,
	}
	if format == formatYAML {
		var back manifest
		text, err := yaml.Marshal(m)
		if err == nil && yaml.Unmarshal(text, &back) == nil && maps.Equal(back.Data, m.Data) {
			_, err := w.Write(text)
			return err
		}
	}
	return writeObject(w, formatJSON, m)
}
