package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// entryOptions are the flags with the username and the groups of an entry.
type entryOptions struct {
	username string
	groups   []string
}

func (o *entryOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.username, "username", "", "`NAME` of the user in Kubernetes; it may have templates such as {{SessionName}}")
	cmd.Flags().StringArrayVar(&o.groups, "group", nil, "`GROUP` in Kubernetes; can be repeated")
	completeFlag(cmd, "username")
	completeFlag(cmd, "group", "system:masters")
}

// check returns an error if the username or a group has an invisible character, or if a group has a comma. A user does not type an
// invisible character on purpose, and a user who writes a comma means several groups. A user who needs such a name can edit the text of
// aws-auth.
func (o *entryOptions) check() error {
	for _, group := range o.groups {
		if strings.Contains(group, ",") {
			return fmt.Errorf("--group %q has a comma; repeat --group for each group", group)
		}
	}
	for _, name := range append([]string{o.username}, o.groups...) {
		if textutil.Printable(name) != name {
			return fmt.Errorf("--username or --group %q has a character that is not visible; remove the character", name)
		}
	}
	return nil
}

type addOptions struct {
	editOptions
	nameOptions
	entryOptions

	preset string
	form   string
}

func (a *app) addCommand() *cobra.Command {
	o := &addOptions{}
	var who principal
	cmd := &cobra.Command{
		Use:   "add role|user|account PRINCIPAL",
		Short: "Let a role, a user or an account log in to the cluster",
		Long: `Let a role, a user or an account log in to the cluster, by an entry in aws-auth.

PRINCIPAL can have one of these forms. add writes the form that aws-auth needs:
  - the ARN that aws sts get-caller-identity prints for a session of a role
  - the ARN of a role with its path, such as a role of IAM Identity Center (SSO)
  - the ARN of a role or a user, or its name with --account
  - for account: 12 digits

--preset chooses the username and the groups for a purpose:
  admin     everything: the group system:masters
  view      read most objects: the group viewers, which you bind to the ClusterRole view
  node      EC2 nodes with Linux
  windows   EC2 nodes with Windows
  fargate   Fargate pods: the pod execution role
Instead of --preset, or in addition, name groups with --group. Bind these groups to roles with
kubectl create clusterrolebinding.

If neither --username nor the preset sets the username, a role gets the username that EKS gives by default in
access entries, so that audit logs show the person: arn:aws:sts::ACCOUNT:assumed-role/ROLE/{{SessionName}}.
A user gets its ARN.

If the principal has an entry, add changes this entry. The entry keeps its groups and gets yours, and it keeps
its username unless --username or the preset sets another one. If no caller logs in by the entry, for example
because its ARN has a path, the entry gets only your groups and username. add removes further entries of the
same principal. If the live aws-auth does not exist, add creates it.

` + editHelp + `

--print writes the text to paste for another tool instead, and needs no cluster. For eksctl, --cluster-name is
the name in the command.

Exit status: 0 success or nothing to change, 1 denied, not confirmed, or the authentication mode is API, 2 an error.`,
		Example: a.example(
			"# Let my colleague's SSO role in as admin; the colleague runs aws sts get-caller-identity",
			"kubectl-awsauth add role arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/alice --preset admin",
			"# Let the nodes of a self-managed node group join",
			"kubectl-awsauth add role my-nodes --account 111122223333 --preset node",
			"# Let a CI role deploy, with a group that a RoleBinding names",
			"kubectl-awsauth add role arn:aws:iam::111122223333:role/ci --group deployers --username ci",
			"# Change a file in a repository",
			"kubectl-awsauth add user arn:aws:iam::111122223333:user/bob --preset view -f aws-auth.yaml -i",
			"# Print the text for Terraform",
			"kubectl-awsauth add role arn:aws:iam::111122223333:role/ci --group deployers --print terraform",
		),
		Args: usage(func(cmd *cobra.Command, args []string) (err error) {
			who, err = o.check(cmd, args)
			return err
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.add(cmd.Context(), o, who) },
	}
	o.cluster.ownUsername = true
	o.entryOptions.addTo(cmd)
	cmd.Flags().StringVar(&o.preset, "preset", "", "username and groups for a `PURPOSE`: "+strings.Join(presetNames(), ", "))
	cmd.Flags().StringVar(&o.form, "print", "", "print the text for a `TOOL` and change nothing: "+strings.Join(printForms, ", "))
	o.nameOptions.addTo(cmd)
	o.editOptions.addTo(cmd)
	completeFlag(cmd, "preset", presetNames()...)
	completeFlag(cmd, "print", printForms...)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []cobra.Completion{kindRole, kindUser, kindAccount}, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// check checks the arguments and flags, and returns the principal.
func (o *addOptions) check(cmd *cobra.Command, args []string) (principal, error) {
	kinds := []string{kindRole, kindUser, kindAccount}
	if len(args) != 2 || !slices.Contains(kinds, args[0]) {
		return principal{}, errors.New("add takes two arguments: role, user or account, and then the PRINCIPAL")
	}
	if err := o.editOptions.check(cmd); err != nil {
		return principal{}, err
	}
	if err := o.entryOptions.check(); err != nil {
		return principal{}, err
	}
	_, known := presets[o.preset]
	entry := o.preset != "" || o.username != "" || len(o.groups) > 0
	switch {
	case o.preset != "" && !known:
		return principal{}, fmt.Errorf("--preset %q is unknown; there are %s", o.preset, strings.Join(presetNames(), ", "))
	case o.form != "" && !slices.Contains(printForms, o.form):
		return principal{}, fmt.Errorf("--print %q is unknown; there are %s", o.form, strings.Join(printForms, ", "))
	case o.form != "" && o.file != "":
		return principal{}, fmt.Errorf("--print changes no file, so it excludes -f")
	case args[0] == kindAccount && entry:
		return principal{}, fmt.Errorf("an account has no username and groups: each of its principals logs in with its ARN as username; leave out --preset, --username and --group")
	case args[0] != kindAccount && !entry:
		return principal{}, fmt.Errorf("add needs --preset, --group or --username, which set the rights of the %s", args[0])
	case slices.Contains(o.groups, ""):
		return principal{}, fmt.Errorf("--group needs the name of a group")
	}
	if p := presets[o.preset]; p.username != "" && (o.username != "" || args[0] != kindRole) {
		return principal{}, fmt.Errorf("--preset %s is for a role, and sets its username to %s; name a role, and leave out --username", o.preset, p.username)
	}
	return o.parse(args[0], args[1])
}

// wanted returns the entry that the preset and the flags describe. If neither the preset nor --username sets the username, a role or user
// gets its default username.
func (o *addOptions) wanted(p principal) awsauth.Entry {
	chosen := presets[o.preset]
	e := awsauth.Entry{Section: p.section(), ARN: p.String(), Username: o.username, Groups: union(chosen.groups, o.groups)}
	if e.Username == "" {
		e.Username = chosen.username
	}
	if e.Username == "" && p.id == "" {
		e.Username = migrate.DefaultUsername(p.ARN)
	}
	return e
}

// union returns the texts of both lists, each once.
func union(a, b []string) []string {
	var list []string
	for _, text := range slices.Concat(a, b) {
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

func (a *app) add(ctx context.Context, o *addOptions, who principal) error {
	if o.form != "" {
		text, err := printEntry(o.form, o.wanted(who), who, o.clusterName)
		if err != nil {
			return err
		}
		a.noteAdded(o, who)
		_, err = fmt.Fprint(a.stdout, text)
		return outputError(err)
	}
	e := &editRun{app: a, options: &o.editOptions, edit: func(v editedVersion) (textEdit, error) {
		t, err := o.edit(v, who)
		t.groups = o.wanted(who).Groups
		return t, err
	}}
	e.onModeAPI = func() {
		a.noteReserved(o.username, o.groups)
		a.showCommand(o.accessEntryCommand(e.accessEntry(who), who))
	}
	e.givenByEntry = func() bool { return o.accessEntryCommand(e.accessEntry(who), who) == "" }
	a.noteAdded(o, who)
	return e.run(ctx)
}

// noteAdded prints a note if the ARN or account of the entry differs from the PRINCIPAL on the command line. It also prints the step that
// the preset leaves to the user, if there is one.
func (a *app) noteAdded(o *addOptions, who principal) {
	for _, note := range []string{who.note, presets[o.preset].note} {
		if note != "" {
			a.note("%s", note)
		}
	}
}

// edit returns the edit that adds the principal to a version. If callers log in by an entry of the principal, the edit adds the groups to
// this entry. If the principal has only entries by which no caller logs in, one of them gets the wanted ARN, username and groups, and loses
// its own. The edit removes the other entries of the principal. An account replaces the elements that have its id in another form, such as
// with dashes.
func (o *addOptions) edit(v editedVersion, who principal) (textEdit, error) {
	s, e := newSectionEdits(v), o.wanted(who)
	if err := v.readable(e.Section); err != nil {
		return textEdit{}, err
	}
	if who.id != "" {
		indexes, exact := accountsOf(v.Parse(), who.id)
		if exact {
			return s.result(), nil
		}
		if err := s.removeAccounts(indexes); err != nil {
			return textEdit{}, err
		}
		err := s.change(e.Section, func(text string) (string, error) { return edit.AddAccount(text, who.id) })
		return s.result(), err
	}
	m := v.Load()
	if err := who.checkName(m); err != nil {
		return textEdit{}, err
	}
	old, inForce := chosenEntry(m, who)
	if old == nil {
		err := s.change(e.Section, func(text string) (string, error) { return edit.Add(text, e) })
		return s.result(), err
	}
	e.Section, e.Index = old.Section, old.Index
	if inForce { // the groups of an entry by which no caller logs in are not kept
		e.ARN, e.Groups = old.ARN, union(old.Groups, e.Groups)
		if o.username == "" && presets[o.preset].username == "" && old.Username != "" {
			e.Username = old.Username
		}
	}
	err := s.replaceEntry(old, e, who)
	if inForce && len(s.texts) > 0 {
		s.note("%s has an entry, %s; add changes it", who, old.Path())
	}
	return s.result(), err
}
