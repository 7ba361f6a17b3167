package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// doctorOptions are the flags of doctor and whoami.
type doctorOptions struct {
	cluster             clusterFlags
	clusterName, region string
	format              outputFormat

	file, adminContext, principal string

	verb, resource, namespace string
	request                   *rbac.Request
}

func (a *app) doctorCommand() *cobra.Command {
	o := &doctorOptions{}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why you can't log in to the cluster, or why a request is forbidden",
		Long: `Find out why you can't log in to the cluster, or why a request is forbidden.

Run doctor as the user who gets "You must be logged in to the server" or "Forbidden", with the same context
and environment as kubectl. It takes these steps of a login, until one of them shows the cause:
   1 kubeconfig        the context, and the command that makes its token
   2 exec plugin       runs this command, such as aws eks get-token
   3 token             decodes the token
   4 AWS identity      asks STS which principal the token belongs to
   5 EKS cluster       compares the kubeconfig with the cluster; needs eks:DescribeCluster
   6 API server        asks the API server which user it sees
   7 access entries    needs eks:ListAccessEntries and eks:DescribeAccessEntry
   8 aws-auth          finds the entry of the principal
   9 rights            asks the API server whether the user may make the request
  10 creator           searches CloudTrail, and the log of the authenticator, for the creator of the cluster
doctor takes step 10 even after it found the cause. Then it prints the cause, with a command for you, for an
administrator, or for both.

You need no permission for steps 1 to 4 and 6. Without a permission for another step its result is unknown (?).
doctor never shows the token. It changes nothing.

If you are locked out, you can't read aws-auth. Then an administrator runs
  kubectl get configmap -n kube-system aws-auth -o yaml
for you, and you add -f FILE. If you have a context that works, add --admin-context.

An administrator finds out with --principal ARN why another principal can't log in. If the EKS console says
that your current IAM principal doesn't have access to Kubernetes objects, copy the ARN from this message.

Exit status: 0 nothing is wrong, 1 doctor found a cause, 2 an error, or doctor can't say.`,
		Example: a.example(
			"kubectl-awsauth doctor",
			"kubectl-awsauth doctor --context prod --verb list --resource pods -n payments",
			"kubectl-awsauth doctor --admin-context prod-admin",
			"kubectl-awsauth doctor -f aws-auth.yaml",
			"kubectl-awsauth doctor --principal arn:aws:sts::111122223333:assumed-role/dev/alice",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth of the cluster, or a dash (-) for standard input")
	flags.StringVar(&o.adminContext, "admin-context", "", "`NAME` of a context that may read aws-auth")
	flags.StringVar(&o.principal, "principal", "", "`ARN` of a principal other than you, for administrators: examine the login of this principal")
	flags.StringVar(&o.verb, "verb", "", "`VERB` of a request that is forbidden, such as list")
	flags.StringVar(&o.resource, "resource", "", "`RESOURCE[.GROUP][/NAME]` of a request that is forbidden, such as pods")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE` of the request (default: that of the context)")
	o.addTo(cmd)
	if err := cmd.MarkFlagFilename("filename"); err != nil {
		panic(err) // the flag does not exist
	}
	for _, flag := range []string{"principal", "verb", "resource", "namespace"} {
		completeFlag(cmd, flag)
	}
	return cmd
}

func (a *app) whoamiCommand() *cobra.Command {
	o := &doctorOptions{}
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show which AWS principal your kubeconfig uses, and which user the API server sees",
		Long: `Show which AWS principal your kubeconfig uses, and which user the API server sees.

whoami runs the command in the kubeconfig that makes the token, asks STS which principal the token belongs to,
and asks the API server which user it sees. This principal can differ from that of aws sts get-caller-identity
if the kubeconfig has a role or a profile. You need no permission. whoami never shows the token.

Exit status: 0 success, 1 you can't log in, 2 an error.`,
		Example: a.example("kubectl-awsauth whoami", "kubectl-awsauth whoami --context prod -o json"),
		Args:    usage(o.check),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.whoami(cmd.Context(), o) },
	}
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE`, which makes no difference to who you are")
	completeFlag(cmd, "namespace")
	o.addTo(cmd)
	return cmd
}

// addTo adds the flags that doctor and whoami share.
func (o *doctorOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.clusterName, "cluster-name", "", "`NAME` of the EKS cluster (default: from the kubeconfig)")
	cmd.Flags().StringVar(&o.region, "region", "", "`REGION` of the EKS cluster (default: from the kubeconfig)")
	o.cluster.addTo(cmd)
	o.format.addTo(cmd)
	completeFlag(cmd, "cluster-name")
	completeFlag(cmd, "region")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

func (o *doctorOptions) check(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return err //nolint:wrapcheck // cobra's own error is complete
	}
	switch {
	case (o.verb == "") != (o.resource == ""):
		return errors.New("--verb and --resource belong together; set both")
	case o.verb == "":
	case o.principal != "":
		return errors.New("--verb and --resource are for your own requests; kubectl awsauth get PRINCIPAL --can 'VERB RESOURCE' shows whether another principal may make a request")
	default:
		request, err := rbac.ParseRequest(o.verb + " " + o.resource)
		if err != nil {
			return fmt.Errorf("--verb and --resource: %w", err)
		}
		o.request = &request
	}
	if o.file != "" && o.adminContext != "" {
		return errors.New("-f and --admin-context both name an aws-auth; use one of them")
	}
	if o.principal != "" {
		if _, err := awsauth.ParseARN(o.principal); err != nil {
			return fmt.Errorf("--principal %w; write an ARN as aws sts get-caller-identity prints it", err)
		}
	}
	return nil
}

func (a *app) doctor(ctx context.Context, o *doctorOptions) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	if o.file != "" {
		object, err := a.readAWSAuthFile(o.file)
		if err != nil {
			return err
		}
		options.ReadAWSAuth = func(context.Context) (*awsauth.Object, error) { return object, nil }
	}
	if o.adminContext != "" {
		if options.Admin, err = o.adminConfig(); err != nil {
			return err
		}
	}
	view := &doctorView{a: a, text: o.format.value == formatText, spinner: newSpinner(a.stderr)}
	options.Begin, options.Finish = view.spinner.start, view.finish
	report := doctor.Run(ctx, options)
	view.spinner.stop()
	a.status = doctorStatus(report, o.principal != "")
	if o.format.value == formatJSON {
		return outputError(writeObject(a.stdout, formatJSON, report))
	}
	return outputError(view.writeCause(report, a.status))
}

// readAWSAuthFile reads the aws-auth in a file. It returns an error if the file has no aws-auth or several.
func (a *app) readAWSAuthFile(name string) (*awsauth.Object, error) {
	in, err := a.readInput(name)
	if err != nil {
		return nil, err
	}
	a.reportProblems(in.problems)
	m, err := in.single()
	if err != nil {
		return nil, err
	}
	return m.Object, nil
}

// options converts the flags into the options of a diagnosis.
func (o *doctorOptions) options() (doctor.Options, error) {
	loader := o.cluster.loader()
	raw, err := loader.RawConfig()
	if err != nil {
		return doctor.Options{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	options := doctor.Options{
		Config: o.config, Context: cmp.Or(o.cluster.overrides.CurrentContext, raw.CurrentContext), Cluster: o.cluster.overrides.Context.Cluster,
		Namespace: o.namespace, ClusterName: o.clusterName, Region: o.region,
		Principal: o.principal, Request: o.request, Now: time.Now, //nolint:forbidigo // the program's clock
	}
	if c := raw.Contexts[options.Context]; c != nil {
		options.Cluster, options.Namespace = cmp.Or(options.Cluster, c.Cluster), cmp.Or(options.Namespace, c.Namespace)
		if user := cmp.Or(o.cluster.overrides.Context.AuthInfo, c.AuthInfo); raw.AuthInfos[user] == nil {
			options.MissingUser = user
		}
	}
	options.Namespace = cmp.Or(options.Namespace, metav1.NamespaceDefault)
	if o.request != nil {
		o.request.Namespace = options.Namespace
	}
	return options, nil
}

// config returns the client configuration of the context that the flags select. Without a context it returns doctor.ErrNoContext.
func (o *doctorOptions) config() (*rest.Config, error) {
	config, _, err := o.cluster.config()
	if errors.Is(err, errNoContext) {
		return nil, doctor.ErrNoContext
	}
	return config, err
}

// adminConfig returns the client configuration of the administrator's context.
func (o *doctorOptions) adminConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.cluster.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.adminContext}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--admin-context: %w", err)
	}
	return config, nil
}

// doctorStatus returns the exit status for a report. ofPrincipal reports whether the user named a principal with --principal. The status
// is:
//   - statusDenied if the report has a cause
//   - statusOK if there is no cause, and the API server let the caller in. With --principal, it is statusOK if there is no cause, and the
//     step aws-auth has a result
//   - statusFailed in other cases
func doctorStatus(r *doctor.Report, ofPrincipal bool) int {
	known := func(step doctor.Step) bool { return step.Name == "aws-auth" && step.Status != doctor.StatusUnknown }
	switch {
	case r.Cause != nil:
		return statusDenied
	case !ofPrincipal && r.User != nil:
		return statusOK
	}
	for _, step := range r.Steps {
		if ofPrincipal && known(step) {
			return statusOK
		}
	}
	return statusFailed
}

func (a *app) whoami(ctx context.Context, o *doctorOptions) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	spinner := newSpinner(a.stderr)
	options.Begin = spinner.start
	report := doctor.Identify(ctx, options)
	spinner.stop()
	switch {
	case report.Cause != nil || report.User == nil && report.Principal != nil:
		a.status = statusDenied
	case report.User == nil:
		a.status = statusFailed
	}
	if o.format.value == formatJSON {
		return outputError(writeObject(a.stdout, formatJSON, report))
	}
	return outputError(a.writeIdentity(report))
}

// writeIdentity writes one line with the ARN of the caller, the ARN for aws-auth if it is another one, and the Kubernetes user. If the user
// is unknown, the line names the cause or the next step instead.
func (a *app) writeIdentity(r *doctor.Report) error {
	var parts []string
	if p := r.Principal; p != nil {
		parts = append(parts, p.ARN)
		if canonical, err := awsauth.Canonicalize(p.ARN); err == nil && canonical != p.ARN {
			parts = append(parts, canonical)
		}
	}
	switch {
	case r.User != nil:
		parts = append(parts, fmt.Sprintf("%s [%s]", r.User.Username, strings.Join(r.User.Groups, ", ")))
	case r.Cause != nil:
		parts = append(parts, r.Cause.Summary)
	case r.Principal != nil:
		parts = append(parts, "the API server refuses this principal; run "+a.name+" doctor")
	default:
		parts = append(parts, "unknown; run "+a.name+" doctor")
	}
	return a.writeLine(strings.Join(parts, " -> "))
}
