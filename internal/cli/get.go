package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// Output formats that only get has.
const (
	formatWide = "wide"
	formatName = "name"
)

// getOptions are the flags of get.
type getOptions struct {
	file, entries, rbac string
	mode                string
	clusterName, region string
	cluster             clusterFlags
	fleet               fleetFlags
	target              *targetCluster // the cluster to read, if it is one of several

	iam bool

	admins, nodes bool
	can           string
	namespace     string
	subresource   string
	selector      string
	sortBy        string
	noHeaders     bool
	format        outputFormat

	// check sets these fields from the arguments and from can, selector and sortBy.
	principals []string
	request    *rbac.Request
	match      fields.Selector
	column     string
}

func (a *app) getCommand() *cobra.Command {
	o := &getOptions{format: outputFormat{value: formatTable, allowed: []string{formatTable, formatWide, formatJSON, formatYAML, formatName, formatOpenMetrics}}}
	cmd := &cobra.Command{
		Use:   "get [PRINCIPAL…]",
		Short: "List who can log in to the cluster, as which user and with which rights",
		Long: `List who can log in to the cluster, as which user and with which rights.

The list has a row for each access entry of EKS, each element of mapRoles and mapUsers, and each account
of mapAccounts. PRINCIPAL selects the rows of a principal; it is the ARN of a role, user or session, or an
account of mapAccounts.

Without a file, get reads aws-auth and RBAC of the current context, and with --cluster-name the access
entries from EKS. With -f, --entries or --rbac it reads these files, and nothing from the cluster of the
context. The columns are:
  SOURCE    accessEntry, mapRoles, mapUsers or mapAccounts
  USERNAME  the username in Kubernetes, with its templates
  GROUPS    the groups in Kubernetes; every user is in system:authenticated, too
  POLICIES  the EKS access policies, each with its namespaces unless it applies in the whole cluster
  ACCESS    the rights that the row gives:
            admin             everything: system:masters, AmazonEKSClusterAdminPolicy for the whole cluster, or
                              * on * by RBAC
            can become admin  RBAC allows to escalate, bind, impersonate, make tokens or write aws-auth, or
                              AmazonEKSClusterAdminPolicy applies in kube-system
            node              logs in as a node
            ROLE …            the roles that RBAC binds, without those of all authenticated users
            none              RBAC binds no role, except those of all authenticated users
            unknown           a part of the cluster can't be read, or a file lacks it
            -                 RBAC was not read or binds no role beside the policies, or the row has no effect
  STATE     ok            callers log in by this row
            shadowed      another row of the principal applies
            neverMatches  no caller matches this row
            dropped       the authenticator doesn't load the element
            stale         the principal was deleted, and may have been created again; only with --iam
            ignored       the authentication mode excludes the source
            unknown       a part of the cluster can't be read, or IAM gave no answer
-o wide adds the paths to admin, the place, and the reason for the state.

The EKS cluster is --cluster-name, as in the AWS CLI, because --cluster is kubectl's name for a cluster of
the kubeconfig. To read EKS, get needs eks:DescribeCluster, eks:ListAccessEntries, eks:DescribeAccessEntry and
eks:ListAssociatedAccessPolicies. In the cluster get needs the verb get on aws-auth, and list on the four
resources of RBAC.
If a permission is missing, get names it, shows the rest, and the exit status is 2.

` + fleetHelp + `
get then compares the access of each principal. The principals whose access differs between clusters come first.
DIFFERS IN names the clusters in which the access is not that of most clusters, or their number if there are more than
3. Clusters with equal access share a column.
If there are more than 8 columns, and with -o wide, get prints one row for each access of a principal, with its clusters.
If the clusters are in several AWS accounts, ACCOUNT in a principal stands for the account of the cluster, and SUFFIX
for the random suffix of a role of IAM Identity Center. With --clusters, get also reads the access entries. With
--contexts, it doesn't. With --baseline, get shows only the principals that gained access, such as a group or a role.

Exit status: 0 success, 1 a PRINCIPAL can't log in (to any of several clusters), isn't selected by the flags, or with
--baseline a selected principal gained access, 2 an error, or a part of the cluster can't be read, 3 one of several
clusters, or a part of it, can't be read.`,
		Example: a.example(
			"kubectl-awsauth get --cluster-name prod --region eu-west-1",
			"kubectl-awsauth get --admins -o wide",
			"kubectl-awsauth get --can 'delete secrets' -n payments",
			"kubectl-awsauth get -f aws-auth.yaml --entries entries.json --mode API_AND_CONFIG_MAP -o json",
			"kubectl-awsauth get arn:aws:iam::111122223333:role/deploy --field-selector state=ok",
			"kubectl-awsauth get --contexts prod-eu,prod-us --admins",
			"kubectl-awsauth get --clusters accounts.yaml -o openmetrics",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.get(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth manifest, or a dash (-) for standard input")
	flags.StringVar(&o.entries, "entries", "", "`FILE` with access entries, as aws eks describe-access-entry and list-associated-access-policies print them")
	flags.StringVar(&o.rbac, "rbac", "", "`FILE` with RBAC, as kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A -o yaml prints it")
	flags.StringVar(&o.mode, "mode", "", "authentication `MODE` of the cluster, for files: CONFIG_MAP, API_AND_CONFIG_MAP (default with --entries) or API")
	flags.StringVar(&o.clusterName, "cluster-name", "", "`NAME` of the EKS cluster whose access entries are read, with your AWS credentials")
	flags.StringVar(&o.region, "region", "", "`REGION` of the EKS cluster (default: that of the AWS configuration)")
	flags.BoolVar(&o.iam, "iam", false, "look up in IAM which principals were deleted, with your AWS credentials; needs iam:GetRole and iam:GetUser")
	flags.BoolVar(&o.admins, "admins", false, "only rows that are admins or can become admin")
	flags.BoolVar(&o.nodes, "nodes", false, "only rows that log in as nodes")
	flags.StringVar(&o.can, "can", "", "only rows that may make a `REQUEST` of the form 'VERB RESOURCE[.GROUP][/NAME]', as for kubectl auth can-i")
	flags.StringVar(&o.subresource, "subresource", "", "`SUBRESOURCE` of the request of --can, such as log or scale")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE` of the request of --can (default: the whole cluster)")
	flags.StringVar(&o.selector, "field-selector", "", "`SELECTOR` of rows, such as state=ok,source!=mapUsers; fields: "+strings.Join(selectorFields, ", "))
	flags.StringVar(&o.sortBy, "sort-by", "", "`FIELD` of the JSON output to sort by, such as principal (default: the order in which the sources apply)")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "omit the line with the names of the columns")
	o.cluster.addTo(cmd)
	o.fleet.addTo(cmd, &o.cluster)
	o.format.addFlag(cmd)
	for _, flag := range []string{"filename", "entries", "rbac"} {
		if err := cmd.MarkFlagFilename(flag); err != nil {
			panic(err) // the flag does not exist
		}
	}
	completeFlag(cmd, "mode", modes...)
	completeFlag(cmd, "sort-by", rowFields...)
	for _, flag := range []string{"cluster-name", "region", "can", "namespace", "subresource", "field-selector"} {
		completeFlag(cmd, flag)
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

var modes = []string{string(access.ModeConfigMap), string(access.ModeAPIAndConfigMap), string(access.ModeAPI)}

// offline reports whether get reads aws-auth and RBAC from files, and makes no request to the API server. get may still read EKS and IAM.
func (o *getOptions) offline() bool { return o.file != "" || o.entries != "" || o.rbac != "" }

// check validates and parses the arguments and flags.
func (o *getOptions) check(cmd *cobra.Command, args []string) error {
	if err := o.fleet.check(cmd, &o.cluster, &o.format, "filename", "entries", "rbac", "mode", "cluster-name", "region", "iam", "sort-by"); err != nil {
		return err
	}
	if verb := strings.Fields(o.can); len(verb) == 1 && len(args) > 0 { // --can get pods, without quotes, as for kubectl auth can-i
		o.can, args = verb[0]+" "+args[0], args[1:]
	}
	for _, arg := range args {
		if _, err := awsauth.ParseARN(arg); err != nil && !awsauth.IsAccountID(arg) {
			return fmt.Errorf("PRINCIPAL %w; write an ARN as aws sts get-caller-identity prints it, or an account id of 12 digits", err)
		}
	}
	o.principals = args
	if o.offline() {
		if err := o.cluster.rejectFlags("-f, --entries and --rbac"); err != nil {
			return err
		}
	}
	fromStdin := 0
	for _, name := range []string{o.file, o.entries, o.rbac} {
		if name == stdinName {
			fromStdin++
		}
	}
	switch {
	case fromStdin > 1:
		return errOneStdin
	case o.mode != "" && !slices.Contains(modes, o.mode):
		return fmt.Errorf("--mode %q is not an authentication mode: must be %s", o.mode, strings.Join(modes, ", "))
	case o.clusterName != "" && (o.entries != "" || o.mode != ""):
		return errors.New("--cluster-name reads the access entries and the mode from EKS, so it excludes --entries and --mode")
	case o.mode != "" && !o.offline():
		return errors.New("--mode is for files; --cluster-name reads the mode from EKS")
	case o.rbac != "" && o.file == "" && o.entries == "" && o.clusterName == "":
		return errors.New("--rbac needs aws-auth or access entries; add -f, --entries or --cluster-name")
	case o.region != "" && o.clusterName == "":
		return errors.New("--region needs --cluster-name")
	case (o.namespace != "" || o.subresource != "") && o.can == "":
		return errors.New("-n and --subresource describe the request of --can; add --can")
	}
	return o.checkSelection()
}

// checkSelection parses the flags that select and sort rows.
func (o *getOptions) checkSelection() (err error) {
	if o.can != "" {
		if o.offline() && o.rbac == "" {
			return errors.New("--can needs RBAC; add --rbac FILE, or read the live cluster without files")
		}
		r, err := rbac.ParseRequest(o.can)
		if err != nil {
			return fmt.Errorf("--can: %w", err)
		}
		r.Namespace = o.namespace
		if o.subresource != "" {
			r.Resource += "/" + o.subresource
		}
		o.request = &r
	}
	if o.match, err = fields.ParseSelector(o.selector); err != nil {
		return fmt.Errorf("--field-selector: %w", err)
	}
	for _, r := range o.match.Requirements() {
		if !slices.Contains(selectorFields, r.Field) {
			return fmt.Errorf("--field-selector: there is no field %q; the fields are %s", r.Field, strings.Join(selectorFields, ", "))
		}
	}
	// kubectl get --sort-by takes a JSONPath, such as .principal or {.principal}.
	o.column = strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(o.sortBy, "{"), "}"), ".")
	if o.sortBy != "" && !slices.Contains(rowFields, o.column) {
		return fmt.Errorf("--sort-by: there is no field %q; the fields are %s", o.sortBy, strings.Join(rowFields, ", "))
	}
	return nil
}

func (a *app) get(ctx context.Context, o *getOptions) error {
	if o.fleet.used() {
		return a.getFleet(ctx, o)
	}
	s, err := a.readSources(ctx, o)
	if err != nil {
		return err
	}
	rows := s.rows(o.request)
	if len(o.principals) > 0 {
		rows = a.ofPrincipals(rows, o)
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !o.selects(&r) })
	o.sort(rows)
	return outputError(o.write(a.stdout, rows, s.policy != nil))
}

// ofPrincipals returns the rows of the principals that the user named, and the rows of sources that can't be read. If no row in force has a
// principal, it also returns the row of mapAccounts with the account of the principal. If a principal can't log in, or if the flags select
// no row by which it logs in, ofPrincipals sets the exit status to statusDenied. An exit status that is already statusFailed stays.
func (a *app) ofPrincipals(rows []row, o *getOptions) []row {
	chosen := make([]bool, len(rows))
	for _, arg := range o.principals {
		key, caller, known, mapped, login := access.CallerKey(arg), access.NewCaller(arg).Caller, false, false, false
		choose := func(i int) {
			chosen[i] = true
			r := &rows[i]
			if r.State != access.StateOK {
				return
			}
			mapped = true
			if !r.admits(caller) {
				a.note("the principal %s can't log in: %s", arg, access.InstancesOnly(r.Place))
				return
			}
			login = login || o.selects(r)
		}
		for i := range rows {
			if r := &rows[i]; r.key == key || r.Principal == "" && r.State == access.StateUnknown {
				known = known || r.key == key
				choose(i)
			}
		}
		for i := range rows { // mapAccounts applies to principals that no entry matches
			if r := &rows[i]; !mapped && r.Source == access.SourceMapAccounts && r.State == access.StateOK && r.Principal == awsauth.AccountOf(arg) {
				choose(i)
			}
		}
		if !login && a.status == statusOK {
			a.status = statusDenied
		}
		if !known {
			a.note("no row has the principal %s; kubectl awsauth explain finds entries that nearly match", arg)
		}
	}
	i := -1
	return slices.DeleteFunc(rows, func(row) bool { i++; return !chosen[i] })
}
