package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

// migrateOptions are the flags that the subcommands of migrate share.
type migrateOptions struct {
	file, entries       string
	clusterName, region string
	account, partition  string
	iam, noRolePaths    bool
	cluster             clusterFlags
	format              outputFormat
}

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move from aws-auth to EKS access entries",
		Long: `Move from aws-auth to EKS access entries, so that each principal keeps its access.

plan computes the access entries, apply creates them, and verify compares the access before and after.
No command changes the authentication mode of the cluster. You change it yourself, and EKS does not allow a
change back.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.migratePlanCommand(), a.migrateApplyCommand(), a.migrateVerifyCommand())
	return cmd
}

// addTo adds the flags that say where to read aws-auth and the access entries.
func (o *migrateOptions) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth manifest, or a dash (-) for standard input")
	flags.StringVar(&o.clusterName, "cluster-name", "", "`NAME` of the EKS cluster, whose access entries are read with your AWS credentials")
	flags.StringVar(&o.region, "region", "", "`REGION` of the EKS cluster (default: that of the AWS configuration)")
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	if err := cmd.MarkFlagFilename("filename"); err != nil {
		panic(err) // the flag does not exist
	}
	for _, flag := range []string{"cluster-name", "region"} {
		completeFlag(cmd, flag)
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// addEntries adds the flag that names a file with access entries.
func (o *migrateOptions) addEntries(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.entries, "entries", "", "`FILE` with access entries, as aws eks describe-access-entry and list-associated-access-policies print them; then --cluster-name is only a name")
	if err := cmd.MarkFlagFilename("entries"); err != nil {
		panic(err) // the flag does not exist
	}
}

// addPlan adds the flags with the facts that a plan needs.
func (o *migrateOptions) addPlan(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.iam, "iam", false, "look up in IAM the paths of roles and which principals were deleted, with your AWS credentials; needs iam:GetRole and iam:GetUser")
	flags.BoolVar(&o.noRolePaths, "no-role-paths", false, "your assurance that no role in aws-auth has a path, if you can't use --iam")
	flags.StringVar(&o.account, "account", "", "`ID` of the cluster's account, if EKS is not read")
	flags.StringVar(&o.partition, "partition", "", "`PARTITION` of the cluster, such as aws or aws-cn, if EKS is not read")
	completeFlag(cmd, "account")
	completeFlag(cmd, "partition", awsauth.Partitions()...)
}

// check checks the flags.
func (o *migrateOptions) check(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, got %d", cmd.Name(), len(args))
	}
	if o.file != "" {
		if err := o.cluster.rejectFlags("-f"); err != nil {
			return err
		}
	}
	switch {
	case o.file == stdinName && o.entries == stdinName:
		return errOneStdin
	case o.region != "" && o.clusterName == "":
		return errors.New("--region needs --cluster-name")
	case o.noRolePaths && o.iam:
		return errors.New("--iam finds the paths of roles, so it excludes --no-role-paths")
	case o.account != "" && !awsauth.IsAccountID(o.account):
		return fmt.Errorf("--account %q is not an account id of 12 digits", o.account)
	case o.partition != "" && !slices.Contains(awsauth.Partitions(), o.partition):
		return fmt.Errorf("--partition %q is not a partition: must be %s", o.partition, strings.Join(awsauth.Partitions(), ", "))
	case o.live() && (o.account != "" || o.partition != ""):
		return errors.New("--cluster-name reads the account and the partition from EKS, so it excludes --account and --partition")
	}
	return nil
}

// live reports whether the command reads the access entries from EKS.
func (o *migrateOptions) live() bool { return o.clusterName != "" && o.entries == "" }

// migrateSources holds aws-auth and the access entries that a subcommand of migrate has read.
type migrateSources struct {
	name     string // the name of the input with aws-auth
	document *awsauth.Document
	client   *eks.Client     // nil if the command doesn't read EKS
	cluster  *access.Cluster // nil if the access entries are not known

	account, partition string // of the cluster; empty if they are not known
	clusterAdminPolicy string // see migrate.Input
}

// readMigration reads aws-auth, and the access entries if the user named their source. It returns an error if it can't read one of these
// two, because an incomplete plan may take access away. If it can't read a document in the file or a section of aws-auth, it prints an
// error, sets the exit status to statusFailed, and continues.
func (a *app) readMigration(ctx context.Context, o *migrateOptions) (*migrateSources, error) {
	s := &migrateSources{account: o.account, partition: o.partition}
	if err := a.readMigratedDocument(ctx, o, s); err != nil {
		return nil, err
	}
	switch {
	case o.entries != "":
		var err error
		if _, s.cluster, err = a.readEntriesFile(o.entries); err != nil {
			return nil, err
		}
	case o.live():
		return s, a.readMigratedCluster(ctx, o, s)
	}
	return s, nil
}

// readMigratedDocument reads aws-auth into s. If the live aws-auth does not exist, it prints a note and uses an empty aws-auth.
func (a *app) readMigratedDocument(ctx context.Context, o *migrateOptions, s *migrateSources) error {
	var in input
	var err error
	if o.file != "" {
		in, err = a.readInput(o.file)
	} else {
		in, err = a.readLive(ctx, &o.cluster)
	}
	if o.file == "" && apierrors.IsNotFound(err) {
		a.note("%s", err)
		s.name, s.document = "the absent aws-auth", new(awsauth.Object).Parse()
		return nil
	}
	if err != nil {
		return err
	}
	a.reportProblems(in.problems)
	found, err := in.single()
	if err != nil {
		return err
	}
	for _, note := range in.notes {
		a.note("%s", note)
	}
	s.name, s.document = in.name, found.Parse()
	a.noteUnloadedSections(in.name, found)
	for _, section := range awsauth.Sections() {
		if err := s.document.Map.Unknown(section); err != nil {
			a.fail(fmt.Errorf("cannot determine the entries of %s in %s: %w", section, in.name, err))
		}
	}
	return nil
}

// readMigratedCluster reads the access entries, the account and the partition from EKS into s. For a live aws-auth, it returns an error if
// the CA of the kubeconfig context is not that of the EKS cluster, because the live aws-auth then belongs to another cluster. If the
// context has no CA, it only prints a note.
func (a *app) readMigratedCluster(ctx context.Context, o *migrateOptions, s *migrateSources) error {
	var ca []byte
	if o.file == "" {
		var err error
		if ca, err = o.cluster.certificateAuthority(); err != nil {
			return err
		}
		if ca == nil {
			a.note("the context has no CA, so migrate can't check that the context belongs to the EKS cluster %s", o.clusterName)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, eksTimeout)
	defer cancel()
	client, read, err := newEKSReader(ctx, o.clusterName, o.region, ca)
	if err != nil {
		return err
	}
	s.client, s.cluster = client, read
	account, err := client.Account(ctx)
	if err != nil {
		return readEKSError(err, o.clusterName)
	}
	s.account, s.partition = account.ID, account.Partition
	if s.partition == "aws" { // the ARNs of access policies in this partition are known
		return nil
	}
	if s.clusterAdminPolicy, err = client.PolicyARN(ctx, access.ClusterAdminPolicy); err != nil {
		a.note("migrate could not verify the ARN of the access policy %s in the partition %s: %v", access.ClusterAdminPolicy, s.partition, explainEKS(err, o.clusterName))
	}
	return nil
}

// plan returns the plan for the sources. With --iam it first looks up the principals of aws-auth in IAM.
func (a *app) plan(ctx context.Context, o *migrateOptions, s *migrateSources) (migrate.Plan, error) {
	in := migrate.Input{
		Document: s.document, Cluster: s.cluster, Account: s.account, Partition: s.partition, NoRolePaths: o.noRolePaths, ClusterAdminPolicy: s.clusterAdminPolicy,
	}
	if o.iam {
		found, err := a.lookUpMigrated(ctx, access.Grants(s.document, nil))
		if err != nil {
			return migrate.Plan{}, err
		}
		in.IAM = found
	}
	return migrate.New(in), nil
}
