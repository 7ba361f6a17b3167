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
)

const (
	// fieldManager is the field manager of the objects that the program writes.
	fieldManager = "kubectl-awsauth"
	// configKey is the key of the guard's configuration in its ConfigMap. The name of this ConfigMap is the name of the history's
	// ConfigMap without historySuffix (charts/awsauth-guard/templates/guardconfig.yaml).
	configKey     = "guardconfig.yaml"
	historySuffix = "-history"
)

// liveConfigMap reads aws-auth. It returns nil if aws-auth does not exist.
func (c *cluster) liveConfigMap(ctx context.Context) (*corev1.ConfigMap, error) {
	cm, err := c.configMap(ctx, awsauth.Namespace, awsauth.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // documented
	}
	if err != nil {
		return nil, explainAPIError(c.where, err)
	}
	return cm, nil
}

func (c *cluster) configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	ctx, cancel := c.withTimeout(ctx, requestTimeout)
	defer cancel()
	cm := new(corev1.ConfigMap)
	if err := c.decode(ctx, c.client.Get().Namespace(namespace).Resource("configmaps").Name(name).Do(ctx), cm); err != nil {
		return nil, err
	}
	return cm, nil
}

// loadConfig returns the configuration in a file, or the default configuration if file is empty.
func loadConfig(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	return config.Load(file)
}

// clusterConfig returns the configuration from a file. If file is empty, it returns the configuration of the guard that writes the history
// h. If it can't read the guard's configuration, it prints a note and returns the default configuration: the edit may be urgent, and the
// webhook evaluates it again with the right configuration.
func (a *app) clusterConfig(ctx context.Context, c *cluster, h storedHistory, file string) (*config.Config, error) {
	if file != "" {
		return config.Load(file)
	}
	name := strings.TrimSuffix(h.name, historySuffix)
	cm, err := c.configMap(ctx, h.namespace, name)
	if err == nil {
		text, ok := cm.Data[configKey]
		if !ok {
			err = fmt.Errorf("the ConfigMap has no key %s", configKey)
		} else if cfg, e := config.Parse(configKey, []byte(text)); e == nil {
			return cfg, nil
		} else {
			err = e
		}
	}
	a.note("cannot read the guard's configuration %s/%s, so the rules have their defaults; set --config to use a file (%v)", h.namespace, name, err)
	return config.Default(), nil
}

// deniedError means that the API server, a webhook or an admission policy denied the change.
type deniedError struct{ err error }

func (e *deniedError) Error() string { return e.err.Error() }
func (e *deniedError) Unwrap() error { return e.err }

// writeAWSAuth writes aws-auth and returns the warnings of the API server. If cm has a resource version, it updates aws-auth; otherwise
// it creates aws-auth. dry makes the request a dry run. The error is a [deniedError] if the API server, a webhook or an admission policy
// denied the change.
func (c *cluster) writeAWSAuth(ctx context.Context, cm *corev1.ConfigMap, dry bool) ([]string, error) {
	ctx, cancel := c.withTimeout(ctx, requestTimeout)
	defer cancel()
	verb, request := "update", c.client.Put().Name(cm.Name)
	if cm.ResourceVersion == "" {
		verb, request = "create", c.client.Post()
	}
	if dry {
		request = request.Param("dryRun", metav1.DryRunAll)
	}
	var collected kube.Warnings
	result := request.Namespace(cm.Namespace).Resource("configmaps").Param("fieldManager", fieldManager).
		Body(cm).WarningHandlerWithContext(&collected).Do(ctx)
	err := c.decode(ctx, result, new(corev1.ConfigMap))
	warnings := collected.Take()
	switch doing := "writing kube-system/aws-auth in the context " + c.name; {
	case err == nil:
		return warnings, nil
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied the request"):
		return warnings, &deniedError{err}
	case apierrors.IsForbidden(err):
		return warnings, fmt.Errorf("%s: you need the verb %s on the configmap aws-auth in the namespace kube-system (%w)", doing, verb, err)
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		return warnings, fmt.Errorf("%s: it changed in the meantime; run the command again (%w)", doing, err)
	default:
		return warnings, fmt.Errorf("%s: %w", doing, err)
	}
}
