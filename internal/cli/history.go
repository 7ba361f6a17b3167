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

// completionTimeout limits the time of a completion. It is short, because the user is waiting at the command line.
const completionTimeout = 3 * time.Second

// historyOptions are the flags that select the history.
type historyOptions struct {
	cluster   clusterFlags
	namespace string // empty means the namespace of the guard's Service
}

func (o *historyOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.namespace, "guard-namespace", "", "`NAMESPACE` of awsauth-guard (default: the namespace of the Service in its ValidatingWebhookConfiguration)")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "the same as --guard-namespace `NAMESPACE`")
	cmd.MarkFlagsMutuallyExclusive("guard-namespace", "namespace")
	completeFlag(cmd, "guard-namespace")
	completeFlag(cmd, "namespace")
	o.cluster.addTo(cmd)
	o.cluster.flags.AddFlag(cmd.Flags().Lookup("namespace"))
}

func (a *app) historyCommand() *cobra.Command {
	o, format := &historyOptions{}, &outputFormat{value: formatTable, allowed: []string{formatTable, formatJSON, formatYAML}}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the versions of aws-auth that awsauth-guard stored, or show one",
		Long: `List the versions of aws-auth that awsauth-guard stored, or show one.

The newest version is last. The columns are:
  HOW      changed     the rules admit the change, or EKS made it
           overridden  the change set a new break-glass annotation
           bypassed    the rules deny the change, but it was stored: it bypassed the webhook
           restored    awsauth-guard restored the version
           found       the version existed when awsauth-guard started to watch, or after a gap
  MANAGER  the field manager of the change
  VERDICT  the verdict of the rules for the version by itself
  ADMINS   the number of principals that get an admin group
  NODES    the number of principals that log in as nodes
  ENTRIES  the number of entries that are in force, and of accounts

Exit status: 0 success, 2 an error, such as a damaged history.`,
		Example: a.example(
			"kubectl-awsauth history",
			"kubectl-awsauth history show 7",
			"kubectl-awsauth history --guard-namespace awsauth-guard -o json",
		),
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listHistory(cmd.Context(), o, format) },
	}
	o.addTo(cmd)
	format.addFlag(cmd)
	cmd.AddCommand(a.historyShowCommand())
	return cmd
}

func (a *app) listHistory(ctx context.Context, o *historyOptions, format *outputFormat) error {
	_, h, err := o.cluster.openHistory(ctx, o.namespace)
	if err != nil {
		return err
	}
	for _, damaged := range h.log.Damaged() {
		a.fail(fmt.Errorf("%s: %w", h, damaged))
	}
	versions := h.log.Versions()
	for i := range versions {
		if versions[i].Truncated {
			a.note("version %d was too large: its content was not stored", versions[i].Number)
		}
	}
	switch format.value {
	case formatJSON, formatYAML:
		return outputError(writeObject(a.stdout, format.value, newVersionList(h, versions)))
	}
	if len(versions) == 0 {
		a.note("%s has no versions yet; awsauth-guard stores one as soon as it observes an aws-auth", h)
		return nil
	}
	return outputError(versionTable(a.stdout, versions))
}

// versionTable writes a table with a line for each version. As in kubectl rollout history, the newest version is last.
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
		cells := []string{strconv.Itoa(v.Number), observedAt(v), string(v.Origin), v.Manager, verdict, admins, nodes, entries}
		for i, cell := range cells {
			if cells[i] = report.OneLine(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// observedAt returns the time at which the guard observed a version, in UTC and with a precision of one second.
func observedAt(v *history.Version) string { return v.Time.UTC().Format(time.RFC3339) }

// versionList is the JSON and YAML output of history. It leaves out the content of the versions.
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
func writeObject(w io.Writer, format string, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	text := escapeUnprintable(b.Bytes())
	if format == formatYAML {
		var err error
		if text, err = yaml.JSONToYAML(text); err != nil {
			return err
		}
	}
	_, err := w.Write(text)
	return err
}

// escapeUnprintable replaces unprintable characters in JSON by \u escapes. YAML parsers reject some of these characters, and treat others
// as line breaks. escapeUnprintable keeps characters above U+FFFF, because JSON needs two escapes for such a character, and YAML parsers
// don't combine the two.
func escapeUnprintable(text []byte) []byte {
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

// parseVersionNumber parses the number of a version, which is at least 1.
func parseVersionNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a version number; kubectl awsauth history lists the versions", text)
	}
	return n, nil
}

// versionWithContent returns the version with this number. It returns an error if version does, if the history has no content for this
// version, or if a manifest can't contain the content.
func (h storedHistory) versionWithContent(number int) (history.Version, error) {
	v, err := h.version(number)
	switch {
	case err != nil:
		return v, err
	case v.Deleted:
		return v, fmt.Errorf("version %d is a deletion and has no content", number)
	case v.Truncated:
		return v, fmt.Errorf("version %d was too large: its content was not stored", number)
	case !isUTF8(&v):
		return v, fmt.Errorf("version %d contains bytes that are not UTF-8, which a manifest can't contain", number)
	}
	return v, nil
}

// version returns the version with this number. It returns an error if there is no such version, or if the version is damaged.
func (h storedHistory) version(number int) (history.Version, error) {
	versions := h.log.Versions()
	if len(versions) == 0 {
		return history.Version{}, fmt.Errorf("%s has no versions", h)
	}
	for _, v := range versions {
		if v.Number == number {
			return v, nil
		}
	}
	for _, damaged := range h.log.Damaged() {
		if damaged.Number() == number {
			return history.Version{}, fmt.Errorf("%s: %w", h, damaged)
		}
	}
	return history.Version{}, fmt.Errorf("there is no version %d in %s, which has versions %d to %d", number, h, versions[0].Number, versions[len(versions)-1].Number)
}

// isUTF8 reports whether all values in the data of a version are UTF-8. A manifest can contain only such values.
func isUTF8(v *history.Version) bool {
	for _, text := range v.Data {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// completeVersion completes the first argument with the numbers of the versions that have a content. If the history can't be read, or if
// there is an argument already, there are no completions.
func (o *historyOptions) completeVersion(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	cluster, err := o.cluster.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	h, err := cluster.findHistory(ctx, o.namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	for _, v := range h.log.Versions() {
		if n := strconv.Itoa(v.Number); v.Restorable() && strings.HasPrefix(n, typed) {
			list = append(list, cobra.CompletionWithDesc(n, report.OneLine(strings.TrimSpace(fmt.Sprintf("%s %s %s", observedAt(&v), v.Origin, v.Manager)))))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
