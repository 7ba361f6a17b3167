package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// allContexts is the value of --contexts for every context of the kubeconfig.
const allContexts = "all"

// fleetFlags are the flags that make a command read several clusters.
type fleetFlags struct {
	contexts    []string
	clusters    string
	baseline    string
	concurrency int
	timeout     time.Duration
}

// fleetHelp is the paragraph of the help text of each command with fleetFlags.
const fleetHelp = `With --contexts or --clusters, the command reads several clusters at the same time. --contexts takes names of
contexts of the kubeconfig, or all. --clusters takes a file with AWS accounts, and needs no kubeconfig. A cluster
that can't be read is unknown: the output names it with the reason, and the exit status is 3. With --baseline, the
command leaves out the results that an earlier output with -o json has, too.`

func (f *fleetFlags) addTo(cmd *cobra.Command, c *clusterFlags) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.contexts, "contexts", nil, "`NAMES` of contexts of the kubeconfig, separated by commas, or all; reads every one of these clusters")
	flags.StringVar(&f.clusters, "clusters", "", "`FILE` with AWS accounts whose EKS clusters are read, with your AWS credentials and without a kubeconfig")
	flags.StringVar(&f.baseline, "baseline", "", "`FILE` with an earlier output of the same command with -o json; only new results are shown and count for the exit status")
	flags.IntVar(&f.concurrency, "concurrency", fleet.DefaultConcurrency, "`NUMBER` of clusters that are read at the same time")
	flags.DurationVar(&f.timeout, "cluster-timeout", fleet.DefaultTimeout, "`TIME` limit for each of several clusters, such as 10s or 1m")
	completeFlagWith(cmd, "contexts", completeNames(c, func(k *clientcmdapi.Config) map[string]*clientcmdapi.Context { return k.Contexts }))
	for _, flag := range []string{"clusters", "baseline"} {
		if err := cmd.MarkFlagFilename(flag); err != nil {
			panic(err) // the flag does not exist
		}
	}
	completeFlag(cmd, "concurrency")
	completeFlag(cmd, "cluster-timeout")
}

// used reports whether the user chose several clusters.
func (f *fleetFlags) used() bool { return len(f.contexts) > 0 || f.clusters != "" }

// fleetKubectlFlags are kubectl's flags that can be used for several clusters. Only --contexts accepts --kubeconfig.
var fleetKubectlFlags = append([]string{"kubeconfig", "namespace", "request-timeout", "disable-compression", "proxy-url"}, impersonation...)

// check checks the flags. others are further flags that the command can't use for several clusters.
func (f *fleetFlags) check(cmd *cobra.Command, c *clusterFlags, format *outputFormat, others ...string) error {
	if !f.used() {
		if format.value == formatOpenMetrics {
			return errors.New("-o openmetrics needs several clusters: set --contexts or --clusters")
		}
		for _, flag := range []string{"contexts", "clusters", "baseline", "concurrency", "cluster-timeout"} {
			if cmd.Flags().Changed(flag) {
				return fmt.Errorf("--%s needs several clusters: set --contexts or --clusters", flag)
			}
		}
		return nil
	}
	many := "--contexts"
	if f.clusters != "" {
		many = "--clusters"
	}
	var err error
	c.flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed && err == nil && (!slices.Contains(fleetKubectlFlags, flag.Name) || flag.Name == "kubeconfig" && f.clusters != "") {
			err = fmt.Errorf("--%s can't be used with %s", flag.Name, many)
		}
	})
	for _, flag := range others {
		if cmd.Flags().Changed(flag) && err == nil {
			err = fmt.Errorf("--%s can't be used with %s", flag, many)
		}
	}
	switch {
	case len(f.contexts) > 0 && f.clusters != "":
		return errors.New("--contexts and --clusters exclude each other")
	case err != nil:
		return err
	case slices.Contains(f.contexts, allContexts) && len(f.contexts) > 1:
		return fmt.Errorf("--contexts %s includes every context; leave out the other names", allContexts)
	case slices.ContainsFunc(f.contexts, func(name string) bool { return strings.TrimSpace(name) == "" }):
		return errors.New("--contexts has an empty name")
	case f.concurrency < 1 || f.concurrency > fleet.MaxConcurrency:
		return fmt.Errorf("--concurrency must be between 1 and %d", fleet.MaxConcurrency)
	case f.timeout <= 0:
		return errors.New("--cluster-timeout must be a time such as 10s or 1m")
	}
	return nil
}
