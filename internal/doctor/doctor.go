// Package doctor finds out why a caller can't log in to an EKS cluster. It takes the steps of a login one after the other. It reads the
// kubeconfig, runs the exec plugin, decodes the token of the plugin, and asks STS for the caller. Then it compares this with EKS, the API
// server, the access entries, aws-auth and RBAC. It names one cause, with a command for the user and a command for an administrator.
//
// The token of the exec plugin is a bearer credential. This package never writes the token to a [Report], an error, a log or a file.
package doctor

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// Status is the result of a step.
type Status string

// The results of a step.
const (
	StatusOK      Status = "ok"
	StatusFailed  Status = "failed"
	StatusWarning Status = "warning" // the step found no fault, but the user should read its result
	StatusUnknown Status = "unknown" // the step has no result, for example because a permission is missing
)

// Step is a finished step.
type Step struct {
	Number int    `json:"step"` // counts from 1
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Found is one sentence with the result of the step.
	Found string `json:"found"`
}

// Cause is the cause of a failed login or of a refused request.
type Cause struct {
	// ID is the stable name of the cause, such as role-path. docs/reference/login-faults.md lists all of them.
	ID string `json:"id"`
	// Step is the number of the step of a login in which the fault lies. A later step may have found the cause.
	Step int `json:"step"`
	// Summary is one sentence that names the fault.
	Summary string `json:"summary"`
	// User is the command for the user, and Admin the command for an administrator. A command that is not necessary is empty.
	User  string `json:"user"`
	Admin string `json:"admin"`
}

// Identity is the caller's AWS identity, as STS reports it.
type Identity struct {
	ARN     string `json:"arn"`
	Account string `json:"account"`
	// UserID is the unique id of an IAM user. For a role it is the role's unique id with the session name, in the form ID:SESSION.
	UserID string `json:"userID"`
}

// User is the caller's Kubernetes user, as the API server reports it.
type User struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

// Report is the result of a diagnosis.
type Report struct {
	Context   string    `json:"context"`
	Principal *Identity `json:"principal"` // nil if it is not known
	User      *User     `json:"user"`      // nil if the API server refuses the caller or was not asked
	Steps     []Step    `json:"steps"`
	Cause     *Cause    `json:"cause"` // nil if doctor found no cause
}

// Options configure a diagnosis.
type Options struct {
	// Config loads the client configuration of the caller's context. It returns ErrNoContext if there is no context.
	Config func() (*rest.Config, error)
	// Context, Cluster and Namespace are the names of the context, its cluster and its namespace in the kubeconfig.
	Context, Cluster, Namespace string
	// MissingUser is the name of the context's user if the kubeconfig has no user with this name. Otherwise it is empty.
	MissingUser string
	// ClusterName and Region are the name and region of the EKS cluster. If they are empty, doctor takes them from the kubeconfig.
	ClusterName, Region string
	// Principal is the ARN of the principal to diagnose. It is empty if doctor diagnoses the caller. If it is set, the context belongs to
	// an administrator.
	Principal string
	// ReadAWSAuth reads aws-auth, for example from a file. If it is nil, doctor reads the live aws-auth.
	ReadAWSAuth func(context.Context) (*awsauth.Object, error)
	// Admin is a client configuration with the rights of an administrator, or nil.
	Admin *rest.Config
	// Request is the request that the API server refused, or nil.
	Request *rbac.Request
	// Begin is called before each step with the name of the step. Finish is called after each step that applies. Both may be nil.
	Begin  func(name string)
	Finish func(Step)
	Now    func() time.Time

	pluginLimit time.Duration // replaces pluginTimeout in a test
}

// ErrNoContext means that no kubeconfig has a current context.
var ErrNoContext = errors.New("no kubeconfig has a current context")

// The time limits of the plugin and of other calls. The plugin has more time, because it may ask the user for the code of an MFA device.
const (
	pluginTimeout = time.Minute
	callTimeout   = 15 * time.Second
)

// diagnosis is the state of a diagnosis while it runs. Each step can use the fields that earlier steps filled.
type diagnosis struct {
	Options

	report Report

	config *rest.Config // the configuration of the context; step 2 replaces the exec plugin by the token
	plugin plugin
	token  *token // nil if the credentials are not a token of EKS

	cluster  clusterFacts
	refused  bool // the API server answered 401
	entries  entryFacts
	awsAuth  awsAuthFacts
	identity identityFacts
}

// PluginStep is the name of the step that runs the exec plugin. The plugin may ask the user for input, such as the code of an MFA
// device.
const PluginStep = "exec plugin"

// step is a step of the diagnosis.
type step struct {
	name string
	// run returns the status and a sentence with the result. If it finds the cause, it sets the cause of the report. An empty status means
	// that the step doesn't apply.
	run func(*diagnosis, context.Context) (Status, string)
	// after reports whether the step also runs after an earlier step found the cause.
	after bool
}

var steps = []step{
	{name: "kubeconfig", run: (*diagnosis).readKubeconfig},
	{name: PluginStep, run: (*diagnosis).runPlugin},
	{name: "token", run: (*diagnosis).readToken},
	{name: "AWS identity", run: (*diagnosis).askSTS},
	{name: "EKS cluster", run: (*diagnosis).describeCluster},
	{name: "API server", run: (*diagnosis).reachAPIServer},
	{name: "access entries", run: (*diagnosis).readEntries},
	{name: "aws-auth", run: (*diagnosis).readAWSAuth},
	{name: "rights", run: (*diagnosis).checkRights},
	{name: "creator of the cluster", run: (*diagnosis).findCreator, after: true},
}

// The numbers of the steps, in the order of the variable steps. [Cause.Step] has one of these numbers.
const (
	stepKubeconfig = iota + 1
	stepPlugin
	stepToken
	stepIdentity
	stepCluster
	stepAPIServer
	stepEntries
	stepAWSAuth
	stepRights
	stepCreator
)

// Run diagnoses the login of a caller.
func Run(ctx context.Context, o Options) *Report {
	d := newDiagnosis(o)
	d.take(ctx, steps)
	return &d.report
}

// Identify finds out the caller's AWS principal, and the username and groups of the caller at the API server. It takes only the steps
// that are necessary for this.
func Identify(ctx context.Context, o Options) *Report {
	d := newDiagnosis(o)
	d.take(ctx, steps[:stepIdentity])
	if d.report.Cause == nil {
		d.takeStep(ctx, stepAPIServer, steps[stepAPIServer-1])
	}
	return &d.report
}

func newDiagnosis(o Options) *diagnosis {
	d := &diagnosis{Options: o}
	d.report.Context, d.report.Steps = o.Context, []Step{}
	return d
}

// take runs the steps in order until one of them finds the cause. After that it runs only the steps with step.after.
func (d *diagnosis) take(ctx context.Context, list []step) {
	for i, s := range list {
		if d.report.Cause == nil || s.after {
			d.takeStep(ctx, i+1, s)
		}
	}
}

func (d *diagnosis) takeStep(ctx context.Context, number int, s step) {
	if d.Begin != nil {
		d.Begin(s.name)
	}
	status, found := s.run(d, ctx)
	if status == "" { // the step doesn't apply
		return
	}
	finished := Step{Number: number, Name: s.name, Status: status, Found: found}
	d.report.Steps = append(d.report.Steps, finished)
	if d.Finish != nil {
		d.Finish(finished)
	}
}

// fail sets the cause. It returns StatusFailed and the summary of the cause, so that a step can return both.
func (d *diagnosis) fail(c Cause) (Status, string) {
	d.report.Cause = &c
	return StatusFailed, c.Summary
}
