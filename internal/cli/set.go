package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awscli"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

type setOptions struct {
	editOptions
	nameOptions
	entryOptions

	setsGroups, setsUsername bool
}

func (a *app) setCommand() *cobra.Command {
	o := &setOptions{}
	cmd := &cobra.Command{
		Use:   "set PRINCIPAL",
		Short: "Change the username or the groups of an entry",
		Long: `Change the username or the groups of the entry of a role or user in aws-auth.

PRINCIPAL is an ARN in any form that add takes, or a name with --account. --group replaces all groups of the
entry; add keeps them and adds others. --group "" removes all groups. If the principal has several entries,
set keeps the one that has an effect.

` + editHelp + `

Exit status: 0 success or nothing to change, 1 denied or not confirmed, 2 an error, or no entry has the PRINCIPAL.`,
		Example: a.example(
			"# Make an admin a viewer",
			"kubectl-awsauth set arn:aws:iam::111122223333:role/ci --group viewers",
			"kubectl-awsauth set bob --account 111122223333 --username bob --group viewers --group deployers -f aws-auth.yaml -i",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			o.setsGroups, o.setsUsername = cmd.Flags().Changed("group"), cmd.Flags().Changed("username")
			switch {
			case len(args) != 1:
				return notOnePrincipal("set", args)
			case !o.setsGroups && !o.setsUsername:
				return errors.New("set needs --group or --username")
			case o.setsUsername && o.username == "":
				return errors.New("--username needs a name")
			case len(o.groups) > 1 && slices.Contains(o.groups, ""):
				return errors.New(`--group "" removes all groups, so it excludes other groups`)
			}
			if err := o.entryOptions.check(); err != nil {
				return err
			}
			return o.editOptions.check(cmd)
		}),
		RunE: func(cmd *cobra.Command, args []string) error { return a.set(cmd.Context(), o, args[0]) },
	}
	o.cluster.ownUsername = true
	o.entryOptions.addTo(cmd)
	o.nameOptions.addTo(cmd)
	o.editOptions.addTo(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) set(ctx context.Context, o *setOptions, text string) error {
	named := slices.DeleteFunc(o.parseAny(text), func(p principal) bool { return p.id != "" })
	if len(named) == 0 {
		_, err := o.parse(kindRole, text)
		return err
	}
	e := &editRun{app: a, options: &o.editOptions, edit: func(v editedVersion) (textEdit, error) {
		t, err := o.edit(v, text, named)
		t.groups = o.groups
		return t, err
	}}
	e.onModeAPI = func() {
		p, arn, found := e.accessEntryOf(named)
		if !found {
			return
		}
		command := o.awsCluster().AccessEntry("update", arn)
		a.noteReserved(o.username, o.groups)
		if o.setsUsername && access.ReservedPrefix(o.username) == "" {
			command += " --username " + textutil.ShellWord(o.username)
		}
		if o.setsGroups {
			command += awscli.GroupsFlag(entryGroups(o.groups))
		}
		if slices.Contains(o.groups, access.Masters) {
			command += associatePolicy(&o.editOptions, p, arn, access.ClusterAdminPolicy)
		}
		a.showCommand(command)
	}
	return e.run(ctx)
}

// edit returns an edit of an entry in the version: the entry of the first of the named principals that has one. text is the principal as
// the user wrote it, for errors. edit returns an error if no named principal has an entry, or if the name is that of several users. It also
// returns an error if no caller logs in by the entry, the entry has groups, and the user didn't choose new ones.
func (o *setOptions) edit(v editedVersion, text string, named []principal) (textEdit, error) {
	m := v.Load()
	for _, p := range named {
		if err := p.checkName(m); err != nil {
			return textEdit{}, err
		}
		old, inForce := chosenEntry(m, p)
		switch {
		case old == nil:
			continue
		case !inForce && !o.setsGroups && len(old.Groups) > 0:
			return textEdit{}, fmt.Errorf("no caller logs in by %s, whose ARN is %s, so its groups have no effect; name the groups that the principal gets with --group", old.Path(), old.ARN)
		}
		s, e := newSectionEdits(v), *old
		if !inForce {
			e.ARN = p.String()
		}
		if o.setsUsername {
			e.Username = o.username
		}
		if o.setsGroups {
			kept := slices.DeleteFunc(slices.Clone(old.Groups), func(g string) bool { return !slices.Contains(o.groups, g) })
			e.Groups = slices.DeleteFunc(union(kept, o.groups), func(g string) bool { return g == "" })
		}
		err := s.replaceEntry(old, e, p)
		return s.result(), err
	}
	return textEdit{}, missingEntry(v, text)
}
