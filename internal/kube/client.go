// Package kube holds what the guard's parts share about the Kubernetes API: clients, watches of one object,
// Events, warnings, throttled logging, and the names of the guard's objects.
package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// Config reads a kubeconfig file, or without one the pod's own ServiceAccount. The program is named
// in the API server's audit log.
func Config(kubeconfig, program string) (config *rest.Config, err error) {
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	} else if config, err = rest.InClusterConfig(); err != nil {
		return nil, fmt.Errorf("reading the pod's service account: %w; name a file with --kubeconfig outside of a cluster", err)
	}
	config.UserAgent = program + "/" + version.String()
	return config, nil
}

// Protobuf returns a copy of a configuration whose clients speak protobuf. JSON replaces bytes that are not
// UTF-8; protobuf keeps them, so that a ConfigMap is seen and written exactly as it is stored.
func Protobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}
