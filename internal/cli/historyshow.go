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
	o, form := &historyOptions{}, &format{value: formatYAML, allowed: []string{formatYAML, formatJSON}}
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Print a version of aws-auth as a manifest",
		Long: `Print a version of aws-auth as a manifest.

The manifest holds the content as it was stored, and can be applied, compared and judged. What is known of
the version besides goes to standard error.

Exit status: 0 done, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth history show 7",
			"# what would change:",
			"kubectl-awsauth history show 7 | kubectl-awsauth diff -",
		),
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d arguments, but history show takes one NUMBER", len(args))
			}
			_, err := number(args[0])
			return err
		}),
		ValidArgsFunction: o.completeVersion,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.historyShow(cmd.Context(), o, form, args[0]) },
	}
	o.addTo(cmd)
	form.addFlag(cmd)
	return cmd
}

func (a *app) historyShow(ctx context.Context, o *historyOptions, form *format, text string) error {
	n, err := number(text)
	if err != nil {
		return err
	}
	cluster, err := o.connection.cluster()
	if err != nil {
		return err
	}
	h, err := cluster.history(ctx, o.namespace)
	if err != nil {
		return err
	}
	v, err := h.version(n)
	if err != nil {
		return err
	}
	a.note("%s", facts(h, &v))
	return written(writeManifest(a.stdout, form.value, &v))
}

// facts are what is known of a version besides its content.
func facts(h storedHistory, v *history.Version) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %d of %s, seen %s, %s", v.Number, h, seen(v), v.Origin)
	if len(v.Lost) > 0 {
		fmt.Fprintf(&b, ", refused by [%s]", strings.Join(v.Lost, " "))
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

// manifest is an aws-auth as kubectl applies it.
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

// writeManifest writes a version as a manifest. JSON is YAML, too, and takes its place where the text of
// a value does not come back from YAML as it was.
func writeManifest(w io.Writer, form string, v *history.Version) error {
	m := manifest{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		Metadata: manifestName{awsauth.Name, awsauth.Namespace}, Immutable: v.Immutable, Data: v.Data, BinaryData: v.BinaryData,
	}
	if form == formatYAML {
		var back manifest
		text, err := yaml.Marshal(m)
		if err == nil && yaml.Unmarshal(text, &back) == nil && maps.Equal(back.Data, m.Data) {
			_, err := w.Write(text)
			return err
		}
	}
	return writeObject(w, formatJSON, m)
}
