// Package doctor finds out why a caller can't log in to an EKS cluster. It takes the steps of a login one after the other: it reads the
// kubeconfig, runs the exec plugin, decodes its token, asks STS for the caller, and asks EKS, the API server, aws-auth and RBAC. Then it
// names one cause, with one command for the user and one for an administrator.
//
// The token of the exec plugin is a bearer credential. It must not reach a [Report], an error, a log or a file.
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
	StatusWarning Status = "warning" // it works, and the user should know something
	StatusUnknown Status = "unknown" // a permission or an earlier result is missing
)

// Step is a finished step.
type Step struct {
	Number int    `json:"step"` // from 1
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Found is one sentence with the result of the step.
	Found string `json:"found"`
}

// Cause is the cause of a failed login.
type Cause struct {
	// ID is the stable name of the cause, such as role-path. docs/reference/login-faults.md lists all of them.
	ID string `json:"id"`
	// Step is the step that found the cause.
	Step    int    `json:"step"`
	Summary string `json:"summary"`
	// User and Admin are the commands for the user and for an administrator. One of them may be empty if the other suffices.
	User  string `json:"user"`
	Admin string `json:"admin"`
	// Entry is the text that Admin asks the administrator to add to aws-auth. It is empty if there is nothing to add.
	Entry string `json:"entry,omitempty"`
}

// Identity is the caller's AWS identity, as STS reports it.
type Identity struct {
	ARN     string `json:"arn"`
	Account string `json:"account"`
	// UserID is the unique id of an IAM user. For a role it is the role's unique id and the session name.
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
	User      *User     `json:"user"`      // nil if the API server refuses the caller
	Steps     []Step    `json:"steps"`
	Cause     *Cause    `json:"cause"` // nil if nothing is wrong
}

// Options configure a diagnosis.
type Options struct {
	// Config loads the configuration of the caller's context. It fails with ErrNoContext if there is no context.
	Config func() (*rest.Config, error)
	// Context, Cluster and Namespace are the names of the context, its cluster and its namespace in the kubeconfig.
	Context, Cluster, Namespace string
	// MissingUser is the user that the context names if the kubeconfig has no such user, and otherwise empty.
	MissingUser string
	// ClusterName and Region are the name and region of the EKS cluster. If they are empty, doctor takes them from the kubeconfig.
	ClusterName, Region string
	// Principal is the ARN to diagnose instead of the caller. If it is set, the kubeconfig is that of an administrator.
	Principal string
	// ReadAWSAuth reads aws-auth from a file or with the rights of an administrator. If it is nil, doctor reads the live aws-auth as the
	// caller.
	ReadAWSAuth func(context.Context) (*awsauth.Object, error)
	// Admin is a client configuration with the rights of an administrator, or nil.
	Admin *rest.Config
	// Request is the request that the API server refused, or nil.
	Request *rbac.Request
	// Begin is called before each step with its name, and Finish after the step. Each may be nil.
	Begin  func(name string)
	Finish func(Step)
	Now    func() time.Time

	pluginLimit time.Duration // instead of pluginTimeout, in a test
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

	config *rest.Config // of the caller; step 2 replaces the plugin by the token
	plugin plugin
	token  *token // nil without a token of EKS

	cluster  clusterFacts
	refused  bool // the API server answered 401
	entries  entryFacts
	awsAuth  awsAuthFacts
	identity identityFacts
}

// PluginStep is the name of the step that runs the exec plugin. The plugin may ask the user for input, such as the code of an MFA
// device.
const PluginStep = "exec plugin"

// step is a step of the diagnosis. Its function returns the status and a sentence with the result, and sets the cause of the report if it
// finds the cause. An empty status means that the step doesn't apply.
type step struct {
	name string
	run  func(*diagnosis, context.Context) (Status, string)
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

// Identify finds out which AWS principal the caller is, and which username and groups the API server reports for the caller. It does not
// describe the cluster, and reads no access entries, aws-auth or rights.
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

// take runs the steps in order until one of them finds the cause. Of the remaining steps it runs only those with after.
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
