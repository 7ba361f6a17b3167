package cli

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// writer is the field manager of what the program writes.
	writer = "kubectl-awsauth"
	// configKey is the key of the guard's configuration in its ConfigMap, which has the name of the
	// history's without this ending (charts/awsauth-guard/templates/guardconfig.yaml).
	configKey     = "guardconfig.yaml"
	historyEnding = "-history"
)

// liveOrNone reads aws-auth; nil is none.
func (c *cluster) liveOrNone(ctx context.Context) (*corev1.ConfigMap, error) {
	cm, err := c.configMap(ctx, awsauth.Namespace, awsauth.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // none
	}
	if err != nil {
		return nil, liveError(c.name, err)
	}
	return cm, nil
}

func (c *cluster) configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	cm := new(corev1.ConfigMap)
	if err := answer(c.client.Get().Namespace(namespace).Resource("configmaps").Name(name).Do(ctx), cm); err != nil {
		return nil, err
	}
	return cm, nil
}

// guardPolicy is that of a file, else of the guard that writes the history. A configuration that cannot
// be read is no reason not to repair aws-auth: the webhook knows it.
func (a *app) guardPolicy(ctx context.Context, c *cluster, h storedHistory, file string) (validate.Policy, error) {
	if file != "" {
		cfg, err := config.Load(file)
		if err != nil {
			return validate.Policy{}, err
		}
		return cfg.Policy(), nil
	}
	name := strings.TrimSuffix(h.name, historyEnding)
	cm, err := c.configMap(ctx, h.namespace, name)
	if err == nil {
		text, ok := cm.Data[configKey]
		if !ok {
			err = fmt.Errorf("the ConfigMap has no key %s", configKey)
		} else if cfg, e := config.Parse(configKey, []byte(text)); e == nil {
			return cfg.Policy(), nil
		} else {
			err = e
		}
	}
	a.note("the guard's configuration %s/%s cannot be read, and the rules are those without one; name a file by --config (%v)", h.namespace, name, err)
	return config.Default().Policy(), nil
}

// refusedError is a change that was judged and refused.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// write creates or updates aws-auth, and returns what the API server has warned of.
func (c *cluster) write(ctx context.Context, cm *corev1.ConfigMap, dry bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	verb, request := "update", c.client.Put().Name(cm.Name)
	if cm.ResourceVersion == "" {
		verb, request = "create", c.client.Post()
	}
	if dry {
		request = request.Param("dryRun", metav1.DryRunAll)
	}
	var warnings kube.Warnings
	result := request.Namespace(cm.Namespace).Resource("configmaps").Param("fieldManager", writer).
		Body(cm).WarningHandlerWithContext(&warnings).Do(ctx)
	err := answer(result, new(corev1.ConfigMap))
	warned := warnings.Take()
	switch doing := "writing kube-system/aws-auth in the context " + c.name; {
	case err == nil:
		return warned, nil
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied the request"):
		return warned, &refusedError{err}
	case apierrors.IsForbidden(err):
		return warned, fmt.Errorf("%s: you need the verb %s on configmaps with the name aws-auth in the namespace kube-system (%w)", doing, verb, err)
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		return warned, fmt.Errorf("%s: somebody else has changed it meanwhile; look again (%w)", doing, err)
	default:
		return warned, fmt.Errorf("%s: %w", doing, err)
	}
}
