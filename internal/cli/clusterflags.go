package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// clusterFlags are kubectl's flags for the cluster, the user and the time limit of a request. A flag that the user sets has the same name
// and effect as in kubectl (k8s.io/cli-runtime v0.37.1, pkg/genericclioptions/config_flags.go).
type clusterFlags struct {
	flags      *pflag.FlagSet
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
	timeout    timeoutFlag
	// ownUsername reports whether the command has a flag --username with another meaning. Such a command lacks kubectl's flag of this name,
	// which is for basic authentication. Kubernetes has no basic authentication since 1.19, so only proxies use kubectl's flag.
	ownUsername bool
	// chosen is the cluster if --contexts or --clusters chose it. If it is nil, the flags choose a context of the kubeconfig.
	chosen *chosenCluster
}

// chosenCluster is a cluster that --contexts or --clusters chose.
type chosenCluster struct {
	name   string
	kind   string // context with --contexts, and cluster with --clusters
	config *rest.Config
	http   *http.Client // makes the requests to the API server
}

// clusterFlagUsage has the descriptions of flags for the help text. A flag that is not in this map has only its name in the help text.
var clusterFlagUsage = map[string]string{
	"as":              "`USERNAME` to impersonate",
	"as-group":        "`GROUP` to impersonate, with --as; can be repeated",
	"cluster":         "`NAME` of the cluster in the kubeconfig (default: that of the context)",
	"context":         "`NAME` of the context in the kubeconfig (default: the current context)",
	"kubeconfig":      "kubeconfig `FILE` (default: the files in KUBECONFIG, or ~/.kube/config)",
	"namespace":       "", // each command has its own description
	"request-timeout": "`TIME` limit of a request, such as 10s or 1m; 0 for none (default: 30s for an operation)",
	"user":            "`NAME` of the user in the kubeconfig (default: that of the context)",
}

// addTo adds the flags to a command. It doesn't add --namespace, because its meaning differs between commands.
func (c *clusterFlags) addTo(cmd *cobra.Command) {
	c.flags = pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ClusterOverrideFlags.APIServer.ShortName = "s"
	names.ContextOverrideFlags.Namespace = clientcmd.FlagInfo{}
	names.Timeout = clientcmd.FlagInfo{} // timeoutFlag replaces client-go's flag, which accepts every text
	if c.ownUsername {
		names.AuthOverrideFlags.Username = clientcmd.FlagInfo{}
	}
	clientcmd.BindOverrideFlags(&c.overrides, c.flags, names)
	c.flags.StringVar(&c.kubeconfig, "kubeconfig", "", "")
	c.flags.Var(&c.timeout, clientcmd.FlagTimeout, "")
	c.flags.Var((*extraFlag)(&c.overrides.AuthInfo), "as-user-extra", "`KEY=VALUE` of an extra field of the user to impersonate; can be repeated")
	for name, usage := range clusterFlagUsage {
		if f := c.flags.Lookup(name); f != nil {
			f.Usage = usage
		}
	}
	cmd.Flags().AddFlagSet(c.flags)
	cmd.SetUsageFunc(c.writeUsage)
	c.addCompletions(cmd)
}

// addCompletions sets the shell completion of the flags. A shell completes the names in the kubeconfig and the names of files. For any
// other flag it offers no completions.
func (c *clusterFlags) addCompletions(cmd *cobra.Command) {
	completeFlagWith(cmd, "context", completeNames(c, func(k *clientcmdapi.Config) map[string]*clientcmdapi.Context { return k.Contexts }))
	completeFlagWith(cmd, "cluster", completeNames(c, func(k *clientcmdapi.Config) map[string]*clientcmdapi.Cluster { return k.Clusters }))
	completeFlagWith(cmd, "user", completeNames(c, func(k *clientcmdapi.Config) map[string]*clientcmdapi.AuthInfo { return k.AuthInfos }))
	c.flags.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "kubeconfig", "certificate-authority", "client-certificate", "client-key":
			if err := cmd.MarkFlagFilename(f.Name); err != nil {
				panic(err) // the flag does not exist
			}
		case "context", "cluster", "user":
		default:
			completeFlag(cmd, f.Name)
		}
	})
}

// completeNames returns a function that completes the names in one part of the kubeconfig. list returns this part. If the kubeconfig can't
// be read, there are no completions.
func completeNames[V any](c *clusterFlags, list func(*clientcmdapi.Config) map[string]V) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		config, err := c.loader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.Sorted(maps.Keys(list(&config))), cobra.ShellCompDirectiveNoFileComp
	}
}

// addFixedNamespace adds --namespace to a command that reads or changes aws-auth, and has no other use for a namespace. The flag accepts
// only the namespace of aws-auth.
func (c *clusterFlags) addFixedNamespace(cmd *cobra.Command) {
	cmd.Flags().VarP(new(fixedNamespace), "namespace", "n", "`NAMESPACE` of aws-auth, which is always "+awsauth.Namespace)
	completeFlag(cmd, "namespace", awsauth.Namespace)
	c.flags.AddFlag(cmd.Flags().Lookup("namespace"))
}

// rejectFlags returns an error if the user set a flag in c. Commands call rejectFlags if they read a file instead of the live object.
// argument is the argument or flag that names the file, for the error.
func (c *clusterFlags) rejectFlags(argument string) (err error) {
	c.flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed && err == nil {
			err = fmt.Errorf("--%s is for the live object; use it without %s", f.Name, argument)
		}
	})
	return err
}

// impersonation has the names of the flags that impersonate a user.
var impersonation = []string{"as", "as-group", "as-uid", "as-user-extra"}

// hideImpersonation removes the impersonation flags from the help text of a command that refuses them.
func (c *clusterFlags) hideImpersonation() {
	for _, name := range impersonation {
		c.flags.Lookup(name).Hidden = true
	}
}

// impersonates returns the name of the first impersonation flag that the user set, or "".
func (c *clusterFlags) impersonates() string {
	for _, name := range impersonation {
		if c.flags.Lookup(name).Changed {
			return name
		}
	}
	return ""
}

// writeUsage writes the usage of a command, with kubectl's flags in a separate group.
func (c *clusterFlags) writeUsage(cmd *cobra.Command) error {
	group, others := pflag.NewFlagSet("", pflag.ContinueOnError), []string(nil)
	var visible []*pflag.Flag
	c.flags.VisitAll(func(f *pflag.Flag) {
		_, described := clusterFlagUsage[f.Name]
		switch {
		case f.Hidden:
			return
		case described:
			group.AddFlag(f)
		default:
			others = append(others, "--"+f.Name)
		}
		visible = append(visible, f)
	})
	usages := group.FlagUsages()
	for _, f := range visible {
		f.Hidden = true
	}
	err := new(cobra.Command).UsageFunc()(cmd)
	for _, f := range visible {
		f.Hidden = false
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStderr(), "\nFlags of kubectl for the cluster and the user:\n%s\nkubectl options describes the others:\n%s", usages, indented(others))
	return err
}

// indented returns words, separated by commas, as indented lines of at most 100 characters.
func indented(words []string) string {
	var b strings.Builder
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if line != "" && len(line)+1+len(word) > 100 {
			b.WriteString(line + "\n")
			line = ""
		}
		if line == "" {
			line = "  " + word
		} else {
			line += " " + word
		}
	}
	return b.String() + line + "\n"
}

func (c *clusterFlags) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &c.overrides)
}

// errNoContext means that no cluster is configured.
var errNoContext = errors.New("no kubeconfig has a current context")

// config returns the client configuration, and the name of the cluster for the output; see clusterName.
func (c *clusterFlags) config() (*rest.Config, string, error) {
	if c.chosen != nil {
		return c.chosen.config, c.chosen.name, nil
	}
	return c.configFrom(c.loader())
}

// where returns the name of the selected cluster with its kind, for errors.
func (c *clusterFlags) where(name string) string {
	if c.chosen != nil {
		return "the " + c.chosen.kind + " " + name
	}
	return "the context " + name
}

// configFrom returns the client configuration of a loader with the overrides of the flags, and the name of the cluster for the output.
func (c *clusterFlags) configFrom(loader clientcmd.ClientConfig) (*rest.Config, string, error) {
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config, err := loader.ClientConfig()
	user := &c.overrides.AuthInfo
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, "", fmt.Errorf("%w; set --kubeconfig or --context", errNoContext)
	case err != nil && user.Impersonate == "" && c.impersonates() != "":
		return nil, "", fmt.Errorf("--%s needs --as (%w)", c.impersonates(), err)
	case err != nil:
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	// configFrom applies --token and the impersonation itself, because client-go ignores them in some cases: --token if the kubeconfig's user
	// has a token file or an exec plugin, and the impersonation in a pod without a kubeconfig.
	if user.Token != "" {
		config.BearerToken, config.BearerTokenFile = user.Token, ""
		config.ExecProvider, config.AuthProvider = nil, nil
	}
	if user.Impersonate != "" && config.Impersonate.UserName == "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user.Impersonate, UID: user.ImpersonateUID, Groups: user.ImpersonateGroups, Extra: user.ImpersonateUserExtra}
	}
	config.Timeout = c.timeout.limit
	return config, c.clusterName(raw.CurrentContext), nil
}

// clusterName returns the name of the cluster for the output: the name of the context and, if the user set them, the flags --cluster and
// --server. In a pod without a kubeconfig the name is in-cluster. current is the current context of the kubeconfig.
func (c *clusterFlags) clusterName(current string) string {
	name := current
	if c.overrides.CurrentContext != "" {
		name = c.overrides.CurrentContext
	}
	var chosen []string
	if v := c.overrides.Context.Cluster; v != "" {
		chosen = append(chosen, "--cluster "+v)
	}
	if v := c.overrides.ClusterInfo.Server; v != "" {
		chosen = append(chosen, "--server "+v)
	}
	switch by := strings.Join(chosen, " "); {
	case name == "" && by == "":
		return "in-cluster"
	case name == "":
		return by
	case by == "":
		return name
	default:
		return name + " (" + by + ")"
	}
}

// timeoutFlag implements pflag.Value for --request-timeout.
type timeoutFlag struct {
	text  string
	limit time.Duration // 0 means no limit
}

// String returns the value, or "" if the user did not set the flag.
func (t *timeoutFlag) String() string { return t.text }

// Set sets the value, which is a number of seconds or a duration. A negative value is an error.
func (t *timeoutFlag) Set(s string) error {
	limit, err := clientcmd.ParseTimeout(s)
	if err != nil || limit < 0 {
		return errors.New("must be a time such as 10s or 1m, or 0 for no limit")
	}
	t.text, t.limit = s, limit
	return nil
}

// Type returns the type of the value in the help text.
func (*timeoutFlag) Type() string { return "string" }

// extraFlag implements pflag.Value for --as-user-extra. It stores the values in the AuthInfo of the overrides.
type extraFlag clientcmdapi.AuthInfo

// String returns "", because the flag has no default.
func (*extraFlag) String() string { return "" }

// Set adds a value of the form KEY=VALUE. A value of another form is an error.
func (e *extraFlag) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return errors.New("must be KEY=VALUE")
	}
	if e.ImpersonateUserExtra == nil {
		e.ImpersonateUserExtra = make(map[string][]string)
	}
	e.ImpersonateUserExtra[key] = append(e.ImpersonateUserExtra[key], value)
	return nil
}

// Type returns the type of the value in the help text.
func (*extraFlag) Type() string { return "stringArray" }

// fixedNamespace implements pflag.Value for the flag of addFixedNamespace.
type fixedNamespace string

// String returns the value.
func (n *fixedNamespace) String() string { return string(*n) }

// Set sets the value. A value other than the namespace of aws-auth is an error.
func (n *fixedNamespace) Set(s string) error {
	if s != awsauth.Namespace {
		return errors.New("aws-auth is always in the namespace " + awsauth.Namespace)
	}
	*n = fixedNamespace(s)
	return nil
}

// Type returns the type of the value in the help text.
func (*fixedNamespace) Type() string { return "string" }
