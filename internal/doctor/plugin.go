package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// maxPluginOutput limits how much of the plugin's output doctor keeps, in bytes. A token has at most 4,096 bytes.
const maxPluginOutput = 1 << 20

// runPlugin is the second step. It runs the exec plugin as client-go does. In the client configuration it replaces the plugin by the
// token, so that the plugin runs only once.
func (d *diagnosis) runPlugin(ctx context.Context) (Status, string) {
	if d.Principal != "" || d.plugin.config == nil {
		return "", ""
	}
	limit := cmp.Or(d.pluginLimit, pluginTimeout)
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, failure, err := d.execute(ctx)
	switch {
	case parent.Err() != nil:
		return StatusUnknown, "the plugin was interrupted"
	case ctx.Err() != nil:
		c := Cause{
			ID: "plugin-timeout", Step: stepPlugin, Summary: fmt.Sprintf("the plugin %s did not end within %s", d.plugin.config.Command, limit),
			User: d.pluginCommand(),
		}
		if last := redact(lastLine(failure)); last != "" {
			c.Summary += "; its last line is: " + last
		}
		return d.fail(c)
	case err != nil:
		return d.fail(d.explainPluginError(failure, err))
	}
	return d.readCredential(out)
}

// execute runs the plugin. out is the standard output of the plugin, and failure the end of its standard error.
func (d *diagnosis) execute(ctx context.Context) (out []byte, failure string, err error) {
	info, err := d.execInfo()
	if err != nil {
		return nil, "", err
	}
	p := d.plugin.config
	cmd := exec.CommandContext(ctx, d.plugin.path, p.Args...) //nolint:gosec // the kubeconfig's plugin, as kubectl runs it
	cmd.WaitDelay = callTimeout
	cmd.Env = append(os.Environ(), "KUBERNETES_EXEC_INFO="+info)
	for _, v := range p.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	if interactive(p) {
		cmd.Stdin = os.Stdin
	}
	stdout, stderr := &limitedBuffer{}, &tailBuffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("running the plugin: %w", err)
	}
	return stdout.Bytes(), strings.ToValidUTF8(string(stderr.tail), ""), err
}

// interactive reports whether the plugin may ask the user for input, for example for the code of an MFA device.
func interactive(p *clientcmdapi.ExecConfig) bool {
	return p.InteractiveMode != clientcmdapi.NeverExecInteractiveMode && term.IsTerminal(int(os.Stdin.Fd()))
}

// execInfo returns the value of the variable KUBERNETES_EXEC_INFO for the plugin. It is the same as in client-go. The value has the
// version of the plugin API. If the kubeconfig sets provideClusterInfo, the value also describes the cluster.
func (d *diagnosis) execInfo() (string, error) {
	p := d.plugin.config
	credential := clientauthv1.ExecCredential{
		TypeMeta: metav1.TypeMeta{Kind: "ExecCredential", APIVersion: p.APIVersion},
		Spec:     clientauthv1.ExecCredentialSpec{Interactive: interactive(p)},
	}
	if p.ProvideClusterInfo {
		cluster, err := rest.ConfigToExecCluster(d.config)
		if err != nil {
			return "", fmt.Errorf("describing the cluster for the plugin: %w", err)
		}
		credential.Spec.Cluster = &clientauthv1.Cluster{
			Server: cluster.Server, TLSServerName: cluster.TLSServerName, InsecureSkipTLSVerify: cluster.InsecureSkipTLSVerify,
			CertificateAuthorityData: cluster.CertificateAuthorityData, ProxyURL: cluster.ProxyURL, DisableCompression: cluster.DisableCompression,
		}
	}
	text, err := json.Marshal(&credential)
	if err != nil {
		return "", fmt.Errorf("describing the plugin's call: %w", err)
	}
	return string(text), nil
}

// limitedBuffer keeps the first maxPluginOutput bytes that are written to it.
type limitedBuffer struct{ bytes.Buffer }

// Write implements io.Writer. It ignores the bytes over the limit and returns no error.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxPluginOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// maxFailure limits how much of the plugin's standard error doctor keeps, in bytes. Doctor keeps the end, because the end has the reason
// for a failure.
const maxFailure = 16 << 10

// tailBuffer keeps the last maxFailure bytes that are written to it.
type tailBuffer struct{ tail []byte }

// Write implements io.Writer. It removes the beginning of the text if the text exceeds the limit. It returns no error.
func (b *tailBuffer) Write(p []byte) (int, error) {
	b.tail = append(b.tail, p[max(0, len(p)-maxFailure):]...)
	if excess := len(b.tail) - maxFailure; excess > 0 {
		b.tail = append(b.tail[:0], b.tail[excess:]...)
	}
	return len(p), nil
}

// readCredential decodes the ExecCredential in the plugin's output, and stores the token or the client certificate in d.config. It sets
// the cause if the output is wrong.
func (d *diagnosis) readCredential(out []byte) (Status, string) {
	var credential clientauthv1.ExecCredential
	wrong := func(format string, args ...any) (Status, string) {
		return d.fail(Cause{
			ID: "plugin-output", Step: stepPlugin, User: d.updateKubeconfig(),
			Summary: "the plugin ended without an error, but " + fmt.Sprintf(format, args...),
		})
	}
	if err := json.Unmarshal(out, &credential); err != nil { // the error and the output may hold a part of the token
		return wrong("its output is not the JSON of an ExecCredential; does a wrapper or a shell profile print other text?")
	}
	switch {
	case credential.Kind != "ExecCredential":
		return wrong("its output is not an ExecCredential")
	case credential.APIVersion != d.plugin.config.APIVersion:
		return d.fail(Cause{
			ID: "plugin-api-version", Step: stepPlugin, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the kubeconfig wants %s and the plugin returns %q; the AWS CLI or aws-iam-authenticator is too old, or older than the kubeconfig",
				d.plugin.config.APIVersion, redact(credential.APIVersion)),
		})
	case credential.Status == nil || credential.Status.Token == "" && credential.Status.ClientCertificateData == "":
		return wrong("its output has no token")
	}
	d.config.ExecProvider = nil
	if credential.Status.Token == "" {
		d.config.CertData, d.config.KeyData = []byte(credential.Status.ClientCertificateData), []byte(credential.Status.ClientKeyData)
		return StatusOK, "the plugin returned a client certificate"
	}
	d.config.BearerToken = credential.Status.Token
	return StatusOK, "the plugin returned a token"
}

// pluginFault is a known failure of a plugin.
type pluginFault struct {
	id      string
	pattern *regexp.Regexp          // matches messages of the AWS CLI 1 and 2, botocore, aws-iam-authenticator and the AWS SDK for Go
	summary string                  // see Cause.Summary
	user    func(*diagnosis) string // returns the command for the user
}

var pluginFaults = []pluginFault{
	{
		"sso-session-expired",
		regexp.MustCompile(`(?i)SSO session associated with this profile|Error loading SSO Token|SSO (access )?token .*expired|Token has expired and refresh failed|refresh cached SSO token failed|UnauthorizedException.*GetRoleCredentials|GetRoleCredentials.*UnauthorizedException`),
		"your session of IAM Identity Center has expired",
		func(d *diagnosis) string { return "aws sso login" + d.withProfile() },
	},
	{
		"sso-role-denied",
		regexp.MustCompile(`(?i)(ForbiddenException|AccessDenied)\W.*GetRoleCredentials|GetRoleCredentials.*(No access|ForbiddenException)`),
		"IAM Identity Center does not give you the role of the profile",
		func(*diagnosis) string { return profilesCommand },
	},
	{
		"mfa-refused",
		regexp.MustCompile(`(?i)MultiFactorAuthentication failed`),
		"AWS refuses the code of your MFA device",
		func(d *diagnosis) string { return d.pluginCommand() },
	},
	{
		"assume-role-denied",
		regexp.MustCompile(`(?is)AccessDenied.*AssumeRole|AssumeRole.*AccessDenied|not authorized to perform: sts:(AssumeRole|TagSession)`),
		"AWS does not let your identity assume a role",
		func(d *diagnosis) string { return "aws sts get-caller-identity" + d.withProfile() },
	},
	{
		"credentials-expired",
		regexp.MustCompile(`(?i)ExpiredToken|security token included in the request is expired`),
		"your temporary AWS credentials have expired",
		func(d *diagnosis) string { return "aws configure list" + d.withProfile() },
	},
	{
		"credentials-rejected",
		regexp.MustCompile(`(?i)InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|security token included in the request is invalid`),
		"AWS does not know your access key; it was deleted or deactivated, or its secret is wrong",
		func(d *diagnosis) string { return "aws configure list" + d.withProfile() },
	},
	{
		"profile-not-found",
		regexp.MustCompile(`(?i)config profile \(.*\) could not be found|failed to get shared config profile|source_profile .* does not exist`),
		"the AWS configuration has no such profile",
		func(*diagnosis) string { return profilesCommand },
	},
	{
		"no-aws-credentials",
		regexp.MustCompile(`(?i)Unable to locate credentials|NoCredentialProviders|no EC2 IMDS role found|failed to (refresh|retrieve) (cached )?credentials|partial credentials found`),
		"the plugin finds no AWS credentials",
		func(d *diagnosis) string { return "aws configure list" + d.withProfile() },
	},
	{
		"plugin-too-old",
		regexp.MustCompile(`(?i)invalid choice: '?(eks|get-token)|unknown (command|flag)|Unknown options|argument (operation|command): Invalid choice`),
		"the exec plugin does not know the arguments in the kubeconfig, and may be too old",
		func(d *diagnosis) string { return quote(d.plugin.config.Command) + " --version" },
	},
}

// explainPluginError returns the cause after the plugin has failed. failure is the standard error of the plugin. err is the error of the
// call that ran the plugin.
func (d *diagnosis) explainPluginError(failure string, err error) Cause {
	last := redact(lastLine(failure))
	for _, f := range pluginFaults {
		if !f.pattern.MatchString(failure) {
			continue
		}
		c := Cause{ID: f.id, Step: stepPlugin, Summary: f.summary + ": " + last, User: f.user(d)}
		if f.id == "assume-role-denied" && d.plugin.roleARN != "" {
			c.Admin = "aws iam get-role --role-name " + quote(awsName(d.plugin.roleARN)) + " --query Role.AssumeRolePolicyDocument"
			c.Summary = "AWS does not let your identity assume the role " + d.plugin.roleARN + " of the kubeconfig; its trust policy or your permission sts:AssumeRole is missing"
		}
		return c
	}
	summary := fmt.Sprintf("the plugin %s failed", d.plugin.config.Command)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		summary += fmt.Sprintf(" with the exit status %d", exit.ExitCode())
	}
	if last != "" {
		summary += ": " + last
	}
	return Cause{ID: "plugin-failed", Step: stepPlugin, Summary: summary, User: d.pluginCommand()}
}

// pluginCommand returns a command that runs the plugin and shows its errors. The command discards the output of the plugin, because the
// output contains the token.
func (d *diagnosis) pluginCommand() string {
	words := []string{quote(d.plugin.config.Command)}
	hide := false
	for _, arg := range d.plugin.config.Args {
		if hide {
			arg = hidden
		}
		hide = secretFlag.MatchString(arg)
		words = append(words, quote(redact(arg)))
	}
	return strings.Join(words, " ") + " > /dev/null"
}

// withProfile returns the flag --profile with the kubeconfig's profile and a leading space. It returns "" if the kubeconfig sets no
// profile.
func (d *diagnosis) withProfile() string {
	if d.plugin.profile == "" {
		return ""
	}
	return " --profile " + quote(d.plugin.profile)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// secrets matches the parts of a text that may be a credential. It also matches whole ARNs, which redact keeps, because otherwise a long
// name in an ARN would count as a credential.
var secrets = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`arn:aws[\w-]*:[\w-]*:[\w-]*:\d*:[\w+=,.@/-]+`,
	`k8s-aws-v1\.\S*`,
	`https?://\S*[?&@]\S*`,
	`X-Amz-[\w-]+[=:]\s*\S+`,
	`\b(?:AKIA|ASIA)[A-Z0-9]{12,}`,
	`\beyJ[\w-]{8,}[\w.-]*`, // a JSON Web Token
	`[\w-]*(?:secret|password|passwd|token)[\w-]*=\S+`,
	`"[\w-]*(?:secret|password|passwd|token)[\w-]*"\s*:\s*"[^"]*"?`,
	`(?:^|\s)--?[\w-]*(?:secret|password|passwd|token)[\w-]*\s+[^\s-]\S*`,
	`[A-Za-z0-9/+=_-]{40,}`,
}, "|"))

// secretFlag matches a flag whose value is a secret.
var secretFlag = regexp.MustCompile(`(?i)^--?[\w-]*(?:secret|password|passwd|token)[\w-]*$`)

// hidden is the text that replaces a possible credential.
const hidden = "[hidden]"

// maxQuoted limits the length of a plugin's text in a message, in bytes.
const maxQuoted = 300

// redact replaces each part of a text that may be a credential by [hidden], and shortens the text to maxQuoted bytes.
func redact(text string) string {
	text = secrets.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(strings.ToLower(found), "arn:") {
			return found
		}
		return hidden
	})
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return text
}
