package eks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

func newClient(t *testing.T) *eks.Client {
	t.Helper()
	client, err := eks.New(t.Context(), ekstest.Name, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	client.SetDelay(0)
	return client
}

// entry returns an access entry of type STANDARD with a username.
func entry(arn, username string, groups ...string) access.AccessEntry {
	return access.AccessEntry{PrincipalARN: arn, Type: "STANDARD", Username: username, Groups: groups}
}

func TestCreateMakesTheAccessEntryAndReadsIt(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	client := newClient(t)
	admin := entry(role+"platform/ops", "ops", "breakglass")
	admin.Policies = []access.AccessPolicy{{ARN: "arn:aws:eks::aws:cluster-access-policy/" + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}
	node := access.AccessEntry{PrincipalARN: role + "nodes", Type: "EC2_LINUX", Username: "system:node:{{EC2PrivateDNSName}}"}
	for _, e := range []access.AccessEntry{admin, node} {
		got, err := client.Create(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(access.AccessEntry{}, "Created", "Groups")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if n := len(server.Entries()); n != 2 {
		t.Errorf("%d access entries", n)
	}
}

func TestCreateReportsEachRefusalOfEKS(t *testing.T) {
	server := ekstest.New(t)
	server.SetPrincipals(role+"ops", role+"path/deploy", role+"nodes", "arn:aws:iam::111122223333:user/bob", "arn:aws:iam::444455556666:role/nodes")
	policy := func(e access.AccessEntry, arn, scope string, namespaces ...string) access.AccessEntry {
		e.Policies = []access.AccessPolicy{{ARN: arn, Scope: scope, Namespaces: namespaces}}
		return e
	}
	const view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
	node := func(arn string) access.AccessEntry { return access.AccessEntry{PrincipalARN: arn, Type: "EC2_LINUX"} }
	ops := entry(role+"ops", "ops")
	for name, test := range map[string]struct {
		entry access.AccessEntry
		mode  access.Mode
		want  string
	}{
		"mode":                      {entry: ops, mode: access.ModeConfigMap, want: ekstest.RefusedMode},
		"ARN without its path":      {entry: entry(role+"deploy", "deploy"), want: ekstest.RefusedPrincipal},
		"session":                   {entry: entry("arn:aws:sts::111122223333:assumed-role/ops/x", "ops"), want: ekstest.RefusedPrincipal},
		"root":                      {entry: entry("arn:aws:iam::111122223333:root", "root"), want: ekstest.RefusedPrincipal},
		"federated user":            {entry: entry("arn:aws:sts::111122223333:federated-user/x", "x"), want: ekstest.RefusedPrincipal},
		"service-linked role":       {entry: entry(role+"aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS", "x"), want: ekstest.RefusedServiceLinked},
		"reserved username":         {entry: entry(role+"ops", "aws:ops"), want: ekstest.RefusedUsername + "aws:"},
		"reserved group":            {entry: entry(role+"ops", "ops", "system:masters"), want: "The kubernetes group name system:masters is invalid, it cannot start with system:"},
		"template without colon":    {entry: entry(role+"ops", "john{{SessionName}}"), want: ekstest.RefusedTemplate},
		"type":                      {entry: access.AccessEntry{PrincipalARN: role + "ops", Type: "OTHER"}, want: ekstest.RefusedType},
		"node of another account":   {entry: node("arn:aws:iam::444455556666:role/nodes"), want: ekstest.RefusedNodeAccount},
		"node user":                 {entry: node("arn:aws:iam::111122223333:user/bob"), want: ekstest.RefusedNodeUser},
		"policy of a node":          {entry: policy(node(role+"nodes"), view, "cluster"), want: ekstest.RefusedNodePolicy},
		"policy of IAM":             {entry: policy(ops, "arn:aws:iam::aws:policy/AdministratorAccess", "cluster"), want: ekstest.RefusedPolicyForm},
		"policy of other partition": {entry: policy(ops, strings.Replace(view, "aws", "aws-cn", 1), "cluster"), want: ekstest.UnknownPolicy},
		"no namespaces":             {entry: policy(ops, view, "namespace"), want: ekstest.RefusedNoNamespaces},
		"namespaces":                {entry: policy(ops, view, "cluster", "team"), want: ekstest.RefusedNamespaces},
	} {
		t.Run(name, func(t *testing.T) {
			server.Set(access.ModeAPIAndConfigMap)
			if test.mode != "" {
				server.Set(test.mode)
			}
			_, err := newClient(t).Create(t.Context(), test.entry)
			refused, ok := errors.AsType[*eks.RefusedError](err)
			if !ok || refused.Message != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
			if left := server.Entries(); len(left) > 0 {
				t.Errorf("EKS keeps an access entry that it refused: %+v", left)
			}
		})
	}
}

// The server of ekstest refuses a username and groups for the types for nodes, as EKS does. The test sends these requests
// itself, because Create doesn't send a username and groups for these types.
func TestStubRefusesNamesOfNodes(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	for body, want := range map[string]string{
		`{"principalArn":"` + role + `nodes","type":"EC2_LINUX","username":"x"}`:           `setting username is not allowed when the type is \"EC2_LINUX\"`,
		`{"principalArn":"` + role + `nodes","type":"EC2_LINUX","kubernetesGroups":["x"]}`: `setting kubernetesGroups is not allowed when the type is \"EC2_LINUX\"`,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/clusters/"+ekstest.Name+"/access-entries", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := errors.Join(response.Write(&text), response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(text.String(), want) {
			t.Errorf("%s: %s", body, &text)
		}
	}
}

func TestCreateChangesNoAccessEntryThatExists(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap, ekstest.Entry(role+"ops"))
	if _, err := newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy)); !errors.Is(err, eks.ErrExists) {
		t.Errorf("error %v", err)
	}
	if n := server.Calls("AssociateAccessPolicy") + server.Calls("DeleteAccessEntry"); n > 0 {
		t.Errorf("%d changes of the access entry", n)
	}
}

// Create deletes a new access entry whose access policy it can't associate, because this access entry would take the
// access by aws-auth away.
func TestCreateLeavesNoAccessEntryWithoutItsPolicy(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	server.Answer("AssociateAccessPolicy", ekstest.AccessDenied("AssociateAccessPolicy"))
	_, err := newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy))
	if err == nil || !strings.Contains(err.Error(), "the access entry is deleted again") || len(server.Entries()) > 0 {
		t.Errorf("error %v, %d access entries", err, len(server.Entries()))
	}
	server.Answer("DeleteAccessEntry", ekstest.AccessDenied("DeleteAccessEntry"))
	if _, err = newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy)); err == nil || !strings.Contains(err.Error(), "stays without its access policy") {
		t.Errorf("error %v does not say that the access entry stays", err)
	}
}

func TestCreateWaitsUntilEKSFindsTheAccessEntry(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	late := ekstest.Error(http.StatusNotFound, "ResourceNotFoundException", "The specified principalArn could not be found.")
	server.Answer("AssociateAccessPolicy", func(w http.ResponseWriter, r *http.Request) {
		server.Answer("AssociateAccessPolicy", nil)
		late(w, r)
	})
	made, err := newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy))
	if err != nil || len(made.Policies) != 1 || server.Calls("AssociateAccessPolicy") != 2 {
		t.Errorf("%+v, %v, %d calls", made, err, server.Calls("AssociateAccessPolicy"))
	}
}

// Create also deletes the new access entry if the answer of EKS doesn't arrive, for example because the user interrupts
// apply.
func TestCreateLeavesNoAccessEntryWithoutItsPolicyAfterALostAnswer(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	ctx, cancel := context.WithCancel(t.Context())
	server.Answer("CreateAccessEntry", func(http.ResponseWriter, *http.Request) {
		server.Set(access.ModeAPIAndConfigMap, ekstest.Entry(role+"ops"))
		cancel()
		panic(http.ErrAbortHandler) // closes the connection
	})
	_, err := newClient(t).Create(ctx, ekstest.Entry(role+"ops", access.ClusterAdminPolicy))
	if err == nil || !strings.Contains(err.Error(), "the access entry is deleted again") || len(server.Entries()) > 0 {
		t.Errorf("error %v, %d access entries", err, len(server.Entries()))
	}
}

// Create deletes no access entry after EKS refused to create one, because another person may have created the existing
// access entry.
func TestCreateDeletesNothingAfterARefusal(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPIAndConfigMap)
	server.Answer("CreateAccessEntry", ekstest.AccessDenied("CreateAccessEntry"))
	_, err := newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy))
	if err == nil || server.Calls("DeleteAccessEntry") > 0 {
		t.Errorf("error %v, %d deletions", err, server.Calls("DeleteAccessEntry"))
	}
}

func TestCreateReadsTheAccessEntryAgainUntilEKSFindsIt(t *testing.T) {
	server := ekstest.New(t)
	late := ekstest.Error(http.StatusNotFound, "ResourceNotFoundException", "The specified principalArn could not be found.")
	for action, answer := range map[string]ekstest.Answer{
		"DescribeAccessEntry":          late,
		"ListAssociatedAccessPolicies": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"associatedAccessPolicies":[]}`) },
	} {
		server.Set(access.ModeAPIAndConfigMap)
		server.Answer(action, func(w http.ResponseWriter, r *http.Request) {
			server.Answer(action, nil)
			answer(w, r)
		})
		made, err := newClient(t).Create(t.Context(), ekstest.Entry(role+"ops", access.ClusterAdminPolicy))
		if err != nil || len(made.Policies) != 1 {
			t.Errorf("%s: %+v, %v", action, made, err)
		}
	}
}

func TestAccountIsThatOfTheCluster(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI)
	got, err := newClient(t).Account(t.Context())
	if want := (eks.Account{ID: ekstest.Account, Partition: "aws"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPolicyARNIsThatOfTheList(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI)
	for name, want := range map[string]string{access.ClusterAdminPolicy: "arn:aws:eks::aws:cluster-access-policy/" + access.ClusterAdminPolicy, "Other": ""} {
		if got, err := newClient(t).PolicyARN(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	server.Answer("ListAccessPolicies", ekstest.AccessDenied("ListAccessPolicies"))
	if _, err := newClient(t).PolicyARN(t.Context(), access.ClusterAdminPolicy); err == nil {
		t.Error("no error")
	}
}
