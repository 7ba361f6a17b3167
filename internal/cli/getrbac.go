package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

const (
	// rbacPage is the highest number of objects in a response to a request that lists them. kubectl get uses the same number.
	rbacPage = "500"
	// maxRBAC limits the number of objects of one RBAC resource, to limit memory. An object takes about 1 KiB. A large cluster has some
	// thousand objects.
	maxRBAC = 200_000
)

// readRBAC reads the RBAC objects of a cluster into s. It prints an error for each resource that it can't list.
func (a *app) readRBAC(ctx context.Context, c *cluster, s *accessSources) {
	ctx, cancel := c.withTimeout(ctx, 2*requestTimeout)
	defer cancel()
	var o rbac.Objects
	for _, resource := range []struct {
		name     string
		newList  func() runtime.Object
		forAdmin bool // objects of this resource decide who is an admin
	}{
		{"clusterroles", func() runtime.Object { return new(rbacv1.ClusterRoleList) }, true},
		{"clusterrolebindings", func() runtime.Object { return new(rbacv1.ClusterRoleBindingList) }, true},
		{"roles", func() runtime.Object { return new(rbacv1.RoleList) }, false},
		{"rolebindings", func() runtime.Object { return new(rbacv1.RoleBindingList) }, false},
	} {
		if err := c.listRBAC(ctx, resource.name, resource.newList, &o); err != nil {
			a.fail(err)
			s.rbacUnread = true
			s.adminUnread = s.adminUnread || resource.forAdmin
		}
	}
	s.policy = rbac.NewPolicy(o)
}

// listRBAC lists the objects of one RBAC resource page by page, and adds them to o. If it returns an error, o has the objects of the pages
// before.
func (c *cluster) listRBAC(ctx context.Context, resource string, newList func() runtime.Object, o *rbac.Objects) error {
	doing := "reading " + resource + " in " + c.where
	next, count := "", 0
	for {
		request := c.client.Get().AbsPath("/apis/rbac.authorization.k8s.io/v1/"+resource).Param("limit", rbacPage)
		if next != "" {
			request = request.Param("continue", next)
		}
		list := newList()
		err := c.decode(ctx, request.Do(ctx), list)
		switch {
		case apierrors.IsForbidden(err):
			return fmt.Errorf("%s: you need the verb list on %s.rbac.authorization.k8s.io in all namespaces (%w)", doing, resource, err)
		case err != nil:
			return fmt.Errorf("%s: %w", doing, err)
		}
		if count += meta.LenList(list); count > maxRBAC {
			return fmt.Errorf("%s: the cluster has more objects of this resource than the limit of %d", doing, maxRBAC)
		}
		addRBAC(o, list)
		page, err := meta.ListAccessor(list)
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if next = page.GetContinue(); next == "" {
			return nil
		}
	}
}

// addRBAC adds an RBAC object, or the RBAC objects in a list, to o. It ignores other objects.
func addRBAC(o *rbac.Objects, object runtime.Object) {
	switch v := object.(type) {
	case *rbacv1.ClusterRole:
		o.ClusterRoles = append(o.ClusterRoles, *v)
	case *rbacv1.ClusterRoleList:
		o.ClusterRoles = append(o.ClusterRoles, v.Items...)
	case *rbacv1.Role:
		o.Roles = append(o.Roles, *v)
	case *rbacv1.RoleList:
		o.Roles = append(o.Roles, v.Items...)
	case *rbacv1.ClusterRoleBinding:
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, *v)
	case *rbacv1.ClusterRoleBindingList:
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, v.Items...)
	case *rbacv1.RoleBinding:
		o.RoleBindings = append(o.RoleBindings, *v)
	case *rbacv1.RoleBindingList:
		o.RoleBindings = append(o.RoleBindings, v.Items...)
	}
}

// decodeRBAC returns the RBAC objects in manifests. It computes the rules of aggregated ClusterRoles, and skips objects of other kinds.
// It returns an error if a document is not a manifest, or if there are no RBAC objects.
func decodeRBAC(src []byte) (rbac.Objects, error) {
	var o rbac.Objects
	scheme, err := newScheme()
	if err != nil {
		return o, err
	}
	decoder := serializer.NewCodecFactory(scheme).UniversalDeserializer()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(src)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && len(bytes.TrimSpace(document)) > 0 {
			err = decodeDocument(decoder, document, false, &o)
		}
		if err != nil {
			return o, err
		}
	}
	if len(o.ClusterRoles)+len(o.Roles)+len(o.ClusterRoleBindings)+len(o.RoleBindings) == 0 {
		return o, errors.New("it has no ClusterRole, Role, ClusterRoleBinding or RoleBinding")
	}
	o.Aggregate()
	return o, nil
}

// decodeDocument adds the RBAC objects in a YAML or JSON document to o, and skips objects of other kinds. inList reports whether the
// document is an item of a List. A List in a List is an error: kubectl never prints one, and the time to decode nested lists grows with
// the square of their depth.
func decodeDocument(decoder runtime.Decoder, document []byte, inList bool, o *rbac.Objects) error {
	object, _, err := decoder.Decode(document, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("it is not a Kubernetes manifest: %w", err)
	}
	if list, ok := object.(*corev1.List); ok {
		if inList {
			return errors.New("it has a List in a List")
		}
		for _, item := range list.Items {
			if err := decodeDocument(decoder, item.Raw, true, o); err != nil {
				return err
			}
		}
	}
	addRBAC(o, object)
	return nil
}
