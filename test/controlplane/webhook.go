package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Webhook is the real program as a process of its own.
type Webhook struct {
	// URL is what the API server calls; Metrics, Health and Ready are for everybody.
	URL, Metrics, Health, Ready string

	*process
}

// StartWebhook starts the webhook with a GuardConfig (none when it is empty) and waits until it
// says that it is ready. It runs until it is stopped, the control plane is, or ctx ends.
func (c *ControlPlane) StartWebhook(ctx context.Context, guardConfig string) (*Webhook, error) {
	dir := filepath.Join(c.dir, "webhook")
	if err := c.ca.serving(dir, "awsauth-guard"); err != nil {
		return nil, err
	}
	if err := c.build.wait(); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	args := []string{
		"--cert-dir=" + dir, "--webhook-bind-address=" + ports[0],
		"--metrics-bind-address=" + ports[1], "--health-probe-bind-address=" + ports[2],
	}
	if guardConfig != "" {
		file := filepath.Join(dir, "guardconfig.yaml")
		if err := os.WriteFile(file, []byte(guardConfig), 0o600); err != nil {
			return nil, fmt.Errorf("writing the GuardConfig: %w", err)
		}
		args = append(args, "--config="+file)
	}
	p, err := c.start(ctx, "webhook", c.binary(), args...)
	if err != nil {
		return nil, err
	}
	w := &Webhook{
		URL: "https://" + ports[0] + "/validate-aws-auth", Metrics: "http://" + ports[1] + "/metrics",
		Health: "http://" + ports[2] + "/healthz", Ready: "http://" + ports[2] + "/readyz", process: p,
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := w.ready(ctx, func(ctx context.Context) error { return get(ctx, w.Ready) }); err != nil {
		return nil, err
	}
	return w, nil
}

// buildWebhook begins to build, with the race detector where this program has it.
func (c *ControlPlane) buildWebhook(ctx context.Context) (err error) {
	args := []string{"build", "-o", c.binary()}
	if Race() {
		args = append(args, "-race")
	}
	args = append(args, "github.com/awsauth-guard/awsauth-guard/cmd/webhook")
	c.build, err = c.start(ctx, "go build", "go", args...)
	return err
}

func (c *ControlPlane) binary() string { return filepath.Join(c.dir, "awsauth-guard-webhook") }

// Race reports whether this program, and so the webhook, is built with the race detector.
func Race() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Terminate asks the webhook to end as the kubelet does. Its error is an exit status other than
// zero, which is also what a data race leads to.
func (w *Webhook) Terminate(ctx context.Context) error { return w.terminate(ctx) }

// LogEnd returns the last lines that the webhook has logged.
func (w *Webhook) LogEnd() string { return w.logEnd() }

// Get returns the body of an answer with the status 200.
func (w *Webhook) Get(ctx context.Context, url string) (string, error) { return fetch(ctx, url) }

// nameIsAWSAuth asks for the name as the API server has it: request.name is absent where a
// collection is deleted.
const nameIsAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`

// Register makes the API server ask the webhook about every write of kube-system/aws-auth that
// also meets the conditions, and waits until it does.
func (c *ControlPlane) Register(ctx context.Context, w *Webhook, conditions ...admissionregistrationv1.MatchCondition) error {
	registration, err := typedadmissionregistrationv1.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "awsauth-guard"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "aws-auth.awsauth-guard.io",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &w.URL, CABundle: c.ca.pem},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{
					admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
				},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"},
					Scope: new(admissionregistrationv1.NamespacedScope),
				},
			}},
			NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem},
			},
			MatchConditions: append([]admissionregistrationv1.MatchCondition{
				{Name: "name-is-aws-auth", Expression: nameIsAWSAuth},
			}, conditions...),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(5)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if _, err := registration.ValidatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("registering the webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.called(ctx)
}

// called waits until the API server asks the webhook, which takes it a moment after registration.
// Admission comes before the question whether the object exists already, so a dry run that creates
// one with a fault is refused as invalid in any case, and stores nothing.
func (c *ControlPlane) called(ctx context.Context) error {
	core, err := typedcorev1.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	faulty := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"},
		Data:       map[string]string{"mapRoles": "- ["},
	}
	err = Poll(ctx, func(ctx context.Context) error {
		_, err := core.ConfigMaps(metav1.NamespaceSystem).Create(ctx, faulty, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case apierrors.IsInvalid(err):
			return nil
		case err == nil || apierrors.IsAlreadyExists(err):
			return errors.New("the API server admits a faulty aws-auth")
		default:
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("waiting until the API server asks the webhook: %w", err)
	}
	return nil
}

// fetch returns the body of an answer with the status 200.
func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return "", err // it names the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}
