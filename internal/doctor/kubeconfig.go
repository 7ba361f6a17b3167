package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// plugin is the exec plugin of the kubeconfig, with the settings in its arguments and variables.
type plugin struct {
	config *clientcmdapi.ExecConfig // nil if the context has no exec plugin
	path   string                   // the path of the plugin's program

	cluster, region  string
	profile, roleARN string
	// profileByEnvironment reports whether the kubeconfig sets the profile by a variable. An access key in the environment overrides such a
	// profile.
	profileByEnvironment bool
	// replaced has a function for each variable that useVariables set. The function restores the old value of the variable.
	replaced []func() error
}

// readKubeconfig is the first step. It reads the context, and checks that kubectl can use the credentials of the context.
func (d *diagnosis) readKubeconfig(ctx context.Context) (Status, string) {
	if d.Principal != "" {
		return d.readAdminKubeconfig()
	}
	config, err := d.Config()
	switch {
	case errors.Is(err, ErrNoContext):
		return d.failWithoutContext(ctx)
	case clientcmd.IsContextNotFound(err), err != nil && strings.Contains(err.Error(), fmt.Sprintf("context %q does not exist", d.Context)):
		return d.fail(Cause{
			ID: "context-not-found", Step: stepKubeconfig, Summary: fmt.Sprintf("the kubeconfig has no context %q", d.Context),
			User: "kubectl config get-contexts",
		})
	case err != nil:
		return d.fail(Cause{
			ID: "kubeconfig-invalid", Step: stepKubeconfig, Summary: "the kubeconfig can't be used: " + err.Error(),
			User: d.updateKubeconfig(),
		})
	}
	d.config = config
	d.plugin.config = config.ExecProvider
	d.plugin.readArguments()
	d.setCluster(config.Host)
	where := fmt.Sprintf("the context %s leads to %s", d.Context, config.Host)
	if config.ExecProvider == nil {
		return d.readStaticCredentials(where)
	}
	return d.checkPlugin(where)
}

// readAdminKubeconfig reads the context of an administrator who diagnoses another principal.
func (d *diagnosis) readAdminKubeconfig() (Status, string) {
	d.report.Principal = &Identity{ARN: d.Principal, Account: awsauth.AccountOf(d.Principal)}
	config, err := d.Config()
	if err != nil {
		return StatusUnknown, "no context of a kubeconfig can be used, so the cluster is not read: " + err.Error()
	}
	d.config = config
	d.plugin.config = config.ExecProvider
	d.plugin.readArguments()
	d.setCluster(config.Host)
	return StatusOK, fmt.Sprintf("the context %s reads the cluster at %s; the steps of a login are left out for %s", d.Context, config.Host, d.Principal)
}

// readStaticCredentials checks the credentials of a context without an exec plugin. It sets the cause if there are no credentials, or if
// the context names a user that is not in the kubeconfig. Otherwise it returns a sentence with the kind of the credentials. where is the
// beginning of this sentence.
func (d *diagnosis) readStaticCredentials(where string) (Status, string) {
	c := d.config
	switch {
	case d.MissingUser != "":
		return d.fail(Cause{
			ID: "user-not-found", Step: stepKubeconfig, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the context %s names the user %q, which the kubeconfig does not have", d.Context, d.MissingUser),
		})
	case c.BearerToken != "" || c.BearerTokenFile != "":
		return StatusOK, where + " with a token in the kubeconfig"
	case c.CertFile != "" || len(c.CertData) > 0:
		return StatusOK, where + " with a client certificate"
	case c.AuthProvider != nil:
		return StatusOK, fmt.Sprintf("%s with the auth provider %s", where, c.AuthProvider.Name)
	case c.Username != "":
		return StatusWarning, where + " with a username and a password, which Kubernetes has not accepted since version 1.19"
	}
	return d.fail(Cause{
		ID: "no-credentials", Step: stepKubeconfig, User: d.updateKubeconfig(),
		Summary: "the context has no credentials, so that the API server sees system:anonymous",
	})
}

// The versions of the exec plugin API that client-go accepts (k8s.io/client-go/plugin/pkg/client/auth/exec).
const (
	pluginGroup = "client.authentication.k8s.io/"
	pluginV1    = pluginGroup + "v1"
	pluginBeta  = pluginGroup + "v1beta1"
)

// checkPlugin checks the exec section of the kubeconfig. It does not run the plugin. where is the beginning of the sentence with the
// result.
func (d *diagnosis) checkPlugin(where string) (Status, string) {
	p := &d.plugin
	if err := p.useVariables(); err != nil {
		return StatusUnknown, err.Error()
	}
	if v := p.config.APIVersion; v != pluginV1 && v != pluginBeta {
		return d.fail(Cause{
			ID: "exec-api-version", Step: stepKubeconfig, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the exec section has the apiVersion %q, which kubectl has not accepted since version 1.24", v),
		})
	}
	path, err := lookPath(p.config)
	if err != nil {
		c := Cause{
			ID: "plugin-not-found", Step: stepKubeconfig, User: d.findPlugin(),
			Summary: fmt.Sprintf("the exec plugin %q is not a program in PATH", p.config.Command),
		}
		if hint := p.config.InstallHint; hint != "" {
			c.Summary += "; the kubeconfig says: " + redact(strings.Join(strings.Fields(hint), " "))
		}
		return d.fail(c)
	}
	p.path = path
	text := fmt.Sprintf("%s by the exec plugin %s", where, p.config.Command)
	if p.roleARN != "" {
		text += ", which assumes the role " + p.roleARN
	}
	if p.profile != "" {
		text += ", with the profile " + p.profile
	}
	if p.profileByEnvironment && os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		return StatusWarning, text + "; but AWS_ACCESS_KEY_ID is set in the environment, and overrides the profile"
	}
	return StatusOK, text
}

// lookPath returns the path of the plugin's program. A command in the kubeconfig may be relative to the kubeconfig; client-go has already
// made it absolute.
func lookPath(c *clientcmdapi.ExecConfig) (string, error) {
	path, err := exec.LookPath(c.Command)
	if err != nil {
		return "", fmt.Errorf("finding the plugin: %w", err)
	}
	return path, nil
}

// readArguments reads the cluster, region, profile and role from the plugin's arguments and variables. It knows the commands aws eks
// get-token and aws-iam-authenticator token, also as a part of the arguments of a wrapper.
func (p *plugin) readArguments() {
	if p.config == nil {
		return
	}
	for _, v := range p.config.Env {
		switch v.Name {
		case "AWS_PROFILE", "AWS_DEFAULT_PROFILE":
			p.profile, p.profileByEnvironment = v.Value, true
		case "AWS_REGION", "AWS_DEFAULT_REGION":
			p.region = v.Value
		}
	}
	into := map[string]*string{
		"--cluster-name": &p.cluster, "--cluster-id": &p.cluster, "--region": &p.region,
		"--role-arn": &p.roleARN, "--role": &p.roleARN, "--profile": &p.profile,
	}
	words := strings.Fields(p.config.Command + " " + strings.Join(p.config.Args, " ")) // sh -c takes a whole command as one argument
	if slices.ContainsFunc(words, func(w string) bool { return filepath.Base(w) == programAuthenticator }) {
		into["-i"], into["-r"] = &p.cluster, &p.roleARN
	}
	for i, word := range words {
		flag, value, ok := strings.Cut(word, "=")
		field := into[flag]
		if field == nil {
			continue
		}
		if !ok && i+1 < len(words) {
			value = words[i+1]
		}
		*field = strings.Trim(value, `"'`)
		if field == &p.profile {
			p.profileByEnvironment = false
		}
	}
}

// useVariables sets the AWS_ variables of the exec section in doctor's own environment, so that doctor calls AWS with the settings of the
// plugin. It omits AWS_PROFILE and AWS_DEFAULT_PROFILE, because doctor passes the profile to each call as an option.
func (p *plugin) useVariables() error {
	for _, v := range p.config.Env {
		if !strings.HasPrefix(v.Name, "AWS_") || v.Name == "AWS_PROFILE" || v.Name == "AWS_DEFAULT_PROFILE" {
			continue
		}
		before, set := os.LookupEnv(v.Name)
		p.replaced = append(p.replaced, func() error {
			if !set {
				return os.Unsetenv(v.Name) //nolint:wrapcheck // the caller names the failed action
			}
			return os.Setenv(v.Name, before) //nolint:wrapcheck // the caller names the failed action
		})
		if err := os.Setenv(v.Name, v.Value); err != nil {
			return fmt.Errorf("using the variable %s of the exec section: %w", v.Name, err)
		}
	}
	return nil
}

// restoreVariables restores the variables that useVariables replaced. The exec plugin of an administrator's context then runs with the
// user's own environment.
func (p *plugin) restoreVariables() error {
	for _, restore := range slices.Backward(p.replaced) {
		if err := restore(); err != nil {
			return fmt.Errorf("restoring a variable that the exec section sets: %w", err)
		}
	}
	p.replaced = nil
	return nil
}

// setCluster sets the name and the region of the EKS cluster. It keeps a value that the user has set.
func (d *diagnosis) setCluster(server string) {
	name, region := d.plugin.eksCluster(d.Cluster, server)
	d.ClusterName, d.Region = cmp.Or(d.ClusterName, name), cmp.Or(d.Region, region)
}

// EKSCluster returns the name and the region of the EKS cluster to which a client configuration leads. cluster is the name of the cluster in the
// kubeconfig. A part that the configuration doesn't tell is empty.
func EKSCluster(config *rest.Config, cluster string) (name, region string) {
	p := plugin{config: config.ExecProvider}
	p.readArguments()
	return p.eksCluster(cluster, config.Host)
}

// eksCluster returns the name and the region of an EKS cluster. It takes each from the first of these sources that has it:
//
//   - the plugin's arguments and variables
//   - the name of the cluster in the kubeconfig: aws eks update-kubeconfig uses the cluster's ARN, and eksctl NAME.REGION.eksctl.io
//   - the host of the API server, which has the region
func (p *plugin) eksCluster(cluster, server string) (name, region string) {
	name, region = p.cluster, p.region
	if a, err := arn.Parse(cluster); err == nil && a.Service == "eks" {
		name, region = cmp.Or(name, strings.TrimPrefix(a.Resource, "cluster/")), cmp.Or(region, a.Region)
	} else if labels := strings.Split(cluster, "."); len(labels) == 4 && strings.HasSuffix(cluster, ".eksctl.io") {
		name, region = cmp.Or(name, labels[0]), cmp.Or(region, labels[1])
	}
	if u, err := url.Parse(server); err == nil {
		if labels := strings.Split(u.Hostname(), "."); len(labels) > 4 && labels[3] == "eks" {
			region = cmp.Or(region, labels[2]) // HASH.gr7.REGION.eks.amazonaws.com
		}
	}
	return name, region
}
