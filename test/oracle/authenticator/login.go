package authenticator

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"unsafe"

	"sigs.k8s.io/aws-iam-authenticator/pkg/arn"
	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper"
	"sigs.k8s.io/aws-iam-authenticator/pkg/server"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"
)

// Login is the user that the authenticator returns to kube-apiserver for a caller. The zero Login is a refusal.
type Login struct {
	OK       bool
	Username string
	Groups   []string
}

// AccessKey is the access key id of every caller here.
const AccessKey = "ASIA0123456789ABCDEF"

// PrivateDNSName is the private DNS name of every instance in the fake EC2 API.
const PrivateDNSName = "ip-10-0-0-1.ec2.internal"

// fakeEC2 is an EC2 API in which every instance exists.
type fakeEC2 struct{}

func (fakeEC2) GetPrivateDNSName(context.Context, string) (string, error) {
	return PrivateDNSName, nil
}

func (fakeEC2) StartEc2DescribeBatchProcessing(context.Context) {}

// renderTemplates, authenticateEndpoint and doMapping are the released program's own code. pkg/server exports neither
// them nor a constructor that works without AWS: server.New asks the instance metadata service for a region and opens a
// TLS listener. The linker finds the functions by name. It fails if a release renames one of them.
//
//go:linkname renderTemplates sigs.k8s.io/aws-iam-authenticator/pkg/server.(*handler).renderTemplates
func renderTemplates(handler unsafe.Pointer, ctx context.Context, mapping config.IdentityMapping, identity *token.Identity) (string, []string, error) //nolint:revive // the receiver comes first

//go:linkname authenticateEndpoint sigs.k8s.io/aws-iam-authenticator/pkg/server.(*handler).authenticateEndpoint
func authenticateEndpoint(handler unsafe.Pointer, ctx context.Context, w http.ResponseWriter, req *http.Request) //nolint:revive // as above

//go:linkname doMapping sigs.k8s.io/aws-iam-authenticator/pkg/server.(*handler).doMapping
func doMapping(handler unsafe.Pointer, ctx context.Context, identity *token.Identity) (string, []string, error) //nolint:revive // as above

// newHandler makes the handler that server.getHandler makes, but with a fake EC2 API, and with the verifier in place of
// STS. The handler asks the backends in the order of ordered. The type of the handler is not exported, so newHandler
// takes it from a field of server.Server.
func newHandler(verifier token.Verifier, ordered ...mapper.Mapper) (unsafe.Pointer, error) {
	field, ok := reflect.TypeFor[server.Server]().FieldByName("internalHandler")
	if !ok {
		return nil, fmt.Errorf("the authenticator's Server has no field internalHandler")
	}
	handler := reflect.New(field.Type.Elem())
	backends := server.BackendMapper{}
	if err := set(reflect.ValueOf(&backends).Elem(), "mappers", ordered); err != nil {
		return nil, err
	}
	if err := set(handler.Elem(), "backendMapper", backends); err != nil {
		return nil, err
	}
	if err := set(handler.Elem(), "ec2Provider", fakeEC2{}); err != nil {
		return nil, err
	}
	if err := set(handler.Elem(), "verifier", verifier); err != nil {
		return nil, err
	}
	return handler.UnsafePointer(), nil
}

// set sets an unexported field of a structure, or keeps it if the value is nil. It fails if the structure has no such
// field, or if the field has another type.
func set(structure reflect.Value, name string, value any) error {
	field := structure.FieldByName(name)
	if !field.IsValid() {
		return fmt.Errorf("the authenticator's %s has no field %s", structure.Type(), name)
	}
	if value == nil {
		return nil
	}
	if !reflect.TypeOf(value).AssignableTo(field.Type()) {
		return fmt.Errorf("the authenticator's %s.%s is a %s now", structure.Type(), name, field.Type())
	}
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(value)) //nolint:gosec // the type was checked above
	return nil
}

// Authenticate answers a TokenReview as the released program does. The token of the review is the caller's ARN.
func (a *Authenticator) Authenticate(w http.ResponseWriter, req *http.Request) {
	authenticateEndpoint(a.handler, req.Context(), w, req)
}

// verifier is a fake STS: the token is the ARN of the caller.
type verifier struct{}

func (verifier) Verify(callerARN string) (*token.Identity, error) {
	identity, err := identityOf(callerARN)
	if err != nil {
		return nil, token.NewSTSError(err.Error())
	}
	return identity, nil
}

// identityOf returns the identity that the authenticator gets from STS for a caller (pkg/token/token.go,
// getIdentityFromSTSResponse). Only sessions of roles have a session name.
func identityOf(callerARN string) (*token.Identity, error) {
	kind, canonical, err := arn.Canonicalize(callerARN)
	if err != nil {
		return nil, err
	}
	identity := &token.Identity{
		ARN: callerARN, CanonicalARN: canonical, AccountID: arnField(canonical, 4), AccessKeyID: AccessKey, UserID: "AIDA0123456789ABCDEFG",
	}
	if kind == arn.ASSUMED_ROLE {
		identity.SessionName, identity.UserID = SessionOf(callerARN), "AROA0123456789ABCDEFG"
	}
	return identity, nil
}

// Render renders an answer's templates for a caller, as pkg/server does before it answers kube-apiserver.
func (a *Authenticator) Render(callerARN string, answer Answer) Login {
	if !answer.Mapped {
		return Login{}
	}
	identity, err := identityOf(callerARN)
	if err != nil {
		return Login{}
	}
	mapping := config.IdentityMapping{IdentityARN: answer.Canonical, Username: answer.Username, Groups: answer.Groups}
	username, groups, err := renderTemplates(a.handler, context.Background(), mapping, identity)
	if err != nil {
		return Login{}
	}
	return Login{OK: true, Username: username, Groups: groups}
}
