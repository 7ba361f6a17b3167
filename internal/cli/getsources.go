package cli

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// accessSources holds the sources of access that get has read.
type accessSources struct {
	name     string            // the name of the input with aws-auth
	inText   bool              // positions count from the start of a key's text
	document *awsauth.Document // nil if there is no aws-auth, or if aws-auth can't be read
	unread   bool              // aws-auth can't be read

	entriesName string          // the name of the source of the access entries
	cluster     *access.Cluster // the authentication mode and the access entries; nil if neither is known
	// entriesUnread reports whether get tried and failed to read the access entries or the authentication mode.
	entriesUnread bool
	entriesListed bool // EKS returned all access entries; the mode may still be unknown

	grants []access.Grant // the grants by aws-auth and by access entries

	policy      *rbac.Policy        // RBAC, or the part of it that can be read; nil if RBAC was not read
	rbacUnread  bool                // a part of RBAC can't be read, or its file lacks it
	adminUnread bool                // that part has ClusterRoles or ClusterRoleBindings, which decide who is an admin
	inherited   map[bindingKey]bool // the bindings of every authenticated user
	// accountUsers has the result of usersOfAccounts.
	accountUsers map[string][]string
}

// readSources reads all sources. It prints an error and continues if it can't read EKS, RBAC in the cluster, a section of aws-auth or a
// document of its file, or if the user may not read the live aws-auth. For other faults, such as a file without aws-auth, it returns an
// error.
func (a *app) readSources(ctx context.Context, o *getOptions) (*accessSources, error) {
	s := &accessSources{}
	if err := a.readEntries(ctx, o, s); err != nil {
		return nil, err
	}
	read := a.readAccessLive
	if o.offline() {
		read = a.readAccessFiles
	}
	if err := read(ctx, o, s); err != nil {
		return nil, err
	}
	if o.iam {
		return s, a.addStale(ctx, s)
	}
	s.grants = access.Grants(s.document, s.cluster)
	return s, nil
}

// readEntries reads the access entries and the authentication mode from a file, from the flag --mode or from EKS into s.
func (a *app) readEntries(ctx context.Context, o *getOptions, s *accessSources) error {
	switch {
	case o.entries != "":
		var err error
		if s.entriesName, s.cluster, err = a.readEntriesFile(o.entries); err != nil {
			return err
		}
		for _, e := range s.cluster.AccessEntries {
			if len(e.Unknown) > 0 {
				a.note("%s lacks a part of the access entry of %s, and maybe of others; write the output of aws eks describe-access-entry and of aws eks list-associated-access-policies into it", s.entriesName, e.PrincipalARN)
				break
			}
		}
	case o.mode != "":
		s.cluster = &access.Cluster{}
		switch access.Mode(o.mode) {
		case access.ModeAPI:
			a.note("access entries are not included, and only they have an effect in mode API; --entries FILE reads them")
		case access.ModeAPIAndConfigMap:
			a.note("access entries are not included, and may shadow rows of aws-auth; --entries FILE reads them")
		case access.ModeConfigMap: // access entries have no effect
		}
	case o.clusterName != "":
		a.readEKS(ctx, o, s)
	case o.target != nil && o.target.eks != nil:
		a.readEntriesOf(ctx, o.target, s)
	}
	if o.mode != "" {
		s.cluster.Mode = access.Mode(o.mode)
	}
	return nil
}

// readEntriesFile reads the access entries of a cluster from a file. The file doesn't have the authentication mode, so readEntriesFile
// returns API_AND_CONFIG_MAP. name is the name of the file for the output.
func (a *app) readEntriesFile(file string) (name string, cluster *access.Cluster, err error) {
	name, src, err := a.readFile(file)
	if err != nil {
		return "", nil, fmt.Errorf("reading access entries: %w", err)
	}
	entries, err := access.DecodeEntries(src)
	if err != nil {
		return "", nil, fmt.Errorf("reading access entries: %s: %w", name, err)
	}
	return name, &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: entries}, nil
}

// readAccessFiles reads aws-auth and RBAC from files into s.
func (a *app) readAccessFiles(_ context.Context, o *getOptions, s *accessSources) error {
	if o.file != "" {
		in, err := a.readInput(o.file)
		if err != nil {
			return err
		}
		if err := a.useInput(in, s); err != nil {
			return err
		}
	}
	if o.rbac != "" {
		name, src, err := a.readFile(o.rbac)
		if err != nil {
			return fmt.Errorf("reading RBAC: %w", err)
		}
		objects, err := decodeRBAC(src)
		if err != nil {
			return fmt.Errorf("reading RBAC: %s: %w", name, err)
		}
		s.policy = rbac.NewPolicy(objects)
		a.noteMissingRBAC(name, objects, s)
	}
	return nil
}

// noteMissingRBAC prints a note if a file lacks a kind of RBAC objects, or a role that a binding names. Kubernetes creates objects of each
// kind in every cluster (kubernetes v1.36.3, plugin/pkg/auth/authorizer/rbac/bootstrappolicy), so a file without one of them is incomplete.
// For such a file, noteMissingRBAC marks a part of RBAC in s as unread.
func (a *app) noteMissingRBAC(name string, o rbac.Objects, s *accessSources) {
	var absent []string
	for _, kind := range []struct {
		name     string
		count    int
		forAdmin bool // objects of this kind decide who is an admin
	}{
		{"ClusterRole", len(o.ClusterRoles), true},
		{"ClusterRoleBinding", len(o.ClusterRoleBindings), true},
		{"Role", len(o.Roles), false},
		{"RoleBinding", len(o.RoleBindings), false},
	} {
		if kind.count == 0 {
			absent = append(absent, kind.name)
			s.rbacUnread, s.adminUnread = true, s.adminUnread || kind.forAdmin
		}
	}
	if len(absent) > 0 {
		a.note("%s has no object of the kind %s, and every cluster has some; write the output of kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A -o yaml into it",
			name, strings.Join(absent, " or "))
		return
	}
	if b, ok := s.policy.MissingRole(); ok {
		a.note("%s has the %s %s without its %s %s; a role that doesn't exist gives no rights", name, b.Kind, b.Name, b.RoleKind, b.RoleName)
	}
}

// useInput sets the aws-auth of s to the aws-auth of an input. It prints the problems of the input, and an error for each section whose
// entries can't be determined. It returns an error if the input has no aws-auth or several.
func (a *app) useInput(in input, s *accessSources) error {
	a.reportProblems(in.problems)
	o, err := in.single()
	if err != nil {
		return err
	}
	s.name, s.inText, s.document = in.name, o.InText, o.Parse()
	for _, section := range awsauth.Sections() {
		if err := s.document.Map.Unknown(section); err != nil {
			a.fail(fmt.Errorf("cannot determine the entries of %s in %s: %w", section, in.name, err))
		}
	}
	return nil
}

// readAccessLive reads aws-auth and RBAC from the cluster of the context into s.
func (a *app) readAccessLive(ctx context.Context, o *getOptions, s *accessSources) error {
	in, err := a.readLive(ctx, &o.cluster)
	switch {
	case err == nil:
		if err := a.useInput(in, s); err != nil {
			return err
		}
	case apierrors.IsNotFound(err) && (s.cluster != nil || s.entriesUnread):
		a.note("%s", err)
	case apierrors.IsForbidden(err):
		s.unread = true
		a.fail(err)
	default:
		return err
	}
	if s.cluster == nil && !s.entriesUnread {
		flag := "--cluster-name NAME"
		if o.target != nil {
			flag = "--clusters FILE"
		}
		a.note("access entries are not included, and may shadow rows of aws-auth; %s reads them from EKS", flag)
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	a.readRBAC(ctx, connection, s)
	return nil
}
