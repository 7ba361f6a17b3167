package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

const (
	formatTable = "table"
	formatYAML  = "yaml"
)

// completionTimeout is how long somebody waits who has typed a tab.
const completionTimeout = 3 * time.Second

// historyOptions say where the history is.
type historyOptions struct {
	connection connection
	namespace  string // empty: that of the guard's Service
}

func (o *historyOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.namespace, "guard-namespace", "", "`NAMESPACE` of awsauth-guard; without it that of the Service in its ValidatingWebhookConfiguration")
	cmd.Flags().StringVar(&o.connection.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`")
	cmd.Flags().StringVar(&o.connection.context, "context", "", "`NAME` of the kubeconfig's context")
	if err := cmd.MarkFlagFilename("kubeconfig"); err != nil {
		panic(err) // the flag does not exist
	}
	complete(cmd, "guard-namespace")
}

func (a *app) historyCommand() *cobra.Command {
	o, form := &historyOptions{}, &format{value: formatTable, allowed: []string{formatTable, formatJSON, formatYAML}}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the versions of aws-auth that awsauth-guard has kept, or show one",
		Long: `List the versions of aws-auth that awsauth-guard has kept, or show one.

The newest stands last. HOW is changed (the rules admit the change), overridden (with a new break-glass
annotation), bypassed (the rules refuse the change, so the guard was not asked), restored (by the guard
itself) or found (it was there when the guard began to watch, or after a gap). MANAGER is the field manager
that made the change. VERDICT is what the rules said of the version by itself. ADMINS and NODES count the
principals that get an admin group and that log in as nodes.

Exit status: 0 done, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth history",
			"kubectl-awsauth history show 7",
			"kubectl-awsauth history --guard-namespace awsauth-guard -o json",
		),
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd.Context(), o, form) },
	}
	o.addTo(cmd)
	form.addFlag(cmd)
	cmd.AddCommand(a.historyShowCommand())
	return cmd
}

func (a *app) history(ctx context.Context, o *historyOptions, form *format) error {
	cluster, err := o.connection.cluster()
	if err != nil {
		return err
	}
	h, err := cluster.history(ctx, o.namespace)
	if err != nil {
		return err
	}
	for _, damaged := range h.log.Damaged() {
		a.fail(fmt.Errorf("%s: %w", h, damaged))
	}
	versions := h.log.Versions()
	for i := range versions {
		if versions[i].Truncated {
			a.note("version %d was too large to be kept with its content", versions[i].Number)
		}
	}
	switch form.value {
	case formatJSON, formatYAML:
		return written(writeObject(a.stdout, form.value, newVersionList(h, versions)))
	}
	if len(versions) == 0 {
		a.note("there is no version in %s yet; awsauth-guard adds one when it has seen an aws-auth", h)
		return nil
	}
	return written(versionTable(a.stdout, versions))
}

// versionTable writes a line for each version, the newest last, as kubectl rollout history does.
func versionTable(w io.Writer, versions []history.Version) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tTIME\tHOW\tMANAGER\tVERDICT\tADMINS\tNODES\tENTRIES")
	for i := range versions {
		v := &versions[i]
		verdict, s := string(v.Verdict), &v.Summary
		admins, nodes, entries := strconv.Itoa(s.Admins), strconv.Itoa(s.Nodes), strconv.Itoa(s.Entries())
		switch {
		case v.Deleted:
			verdict, entries = "", "deleted"
		case s.Unknown:
			admins, nodes, entries = "unknown", "unknown", "unknown"
		}
		cells := []string{strconv.Itoa(v.Number), seen(v), string(v.Origin), v.Manager, verdict, admins, nodes, entries}
		for i, cell := range cells {
			if cells[i] = report.OneLine(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// seen is when a version was seen, to the second.
func seen(v *history.Version) string { return v.Time.UTC().Format(time.RFC3339) }

// versionList is the history in a form for programs, without the contents.
type versionList struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Versions  []history.Version `json:"versions"`
}

func newVersionList(h storedHistory, versions []history.Version) versionList {
	l := versionList{h.namespace, h.name, make([]history.Version, len(versions))}
	for i, v := range versions {
		v.Data, v.BinaryData = nil, nil
		l.Versions[i] = v
	}
	return l
}

// writeObject writes a value as JSON or as YAML.
func writeObject(w io.Writer, form string, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	text := escaped(b.Bytes())
	if form == formatYAML {
		var err error
		if text, err = yaml.JSONToYAML(text); err != nil {
			return err
		}
	}
	_, err := w.Write(text)
	return err
}

// escaped writes what cannot be seen as JSON's escapes: YAML readers refuse some of these characters, and
// take others for the end of a line. They know no surrogates, and take what needs those as it is.
func escaped(text []byte) []byte {
	var b []byte
	for _, r := range string(text) {
		if unicode.IsPrint(r) || r == '\n' || r > 0xffff {
			b = utf8.AppendRune(b, r)
		} else {
			b = fmt.Appendf(b, "\\u%04x", r)
		}
	}
	return b
}

// number reads the number of a version.
func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no number of a version; kubectl awsauth history lists them", text)
	}
	return n, nil
}

// version finds a version whose content can be shown or put back.
func (h storedHistory) version(number int) (history.Version, error) {
	versions := h.log.Versions()
	if len(versions) == 0 {
		return history.Version{}, fmt.Errorf("there is no version in %s", h)
	}
	for _, v := range versions {
		switch {
		case v.Number != number:
		case v.Deleted:
			return v, fmt.Errorf("version %d is a deletion, it has no content", number)
		case v.Truncated:
			return v, fmt.Errorf("version %d was too large to be kept with its content", number)
		case !isText(&v):
			return v, fmt.Errorf("version %d holds bytes that are not UTF-8, which a manifest can't hold", number)
		default:
			return v, nil
		}
	}
	for _, damaged := range h.log.Damaged() {
		if damaged.Number() == number {
			return history.Version{}, fmt.Errorf("%s: %w", h, damaged)
		}
	}
	return history.Version{}, fmt.Errorf("there is no version %d in %s, which has %d to %d", number, h, versions[0].Number, versions[len(versions)-1].Number)
}

// isText reports whether JSON can hold the content of a version.
func isText(v *history.Version) bool {
	for _, text := range v.Data {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// completeVersion completes a version's number.
func (o *historyOptions) completeVersion(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	cluster, err := o.connection.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	h, err := cluster.history(ctx, o.namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	for _, v := range h.log.Versions() {
		if n := strconv.Itoa(v.Number); v.Restorable() && strings.HasPrefix(n, typed) {
			list = append(list, cobra.CompletionWithDesc(n, report.OneLine(strings.TrimSpace(fmt.Sprintf("%s %s %s", seen(&v), v.Origin, v.Manager)))))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
