// Package kube holds the Kubernetes code that several packages need: clients, watches of one object, Events, warnings,
// throttled logging, and the names of the guard's objects.
package kube

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// Config returns a client configuration from a kubeconfig file. If kubeconfig is empty, Config uses the ServiceAccount of the pod. The
// audit log of the API server has the name of the program as user agent.
func Config(kubeconfig, program string) (config *rest.Config, err error) {
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	} else if config, err = rest.InClusterConfig(); err != nil {
		return nil, fmt.Errorf("reading the pod's service account: %w; outside of a cluster, use --kubeconfig FILE", err)
	}
	config.UserAgent = program + "/" + version.String()
	return config, nil
}

// CA returns the CA certificates with which a client verifies the API server, in PEM. It returns nil if the configuration names no CA.
// Each call reads the CA file again, because the kubelet replaces the file when the CA of the cluster changes.
func CA(config *rest.Config) ([]byte, error) {
	if len(config.CAData) > 0 || config.CAFile == "" {
		return config.CAData, nil
	}
	text, err := os.ReadFile(config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA of the API server: %w", err)
	}
	return text, nil
}

// Protobuf returns a copy of a client configuration that uses protobuf instead of JSON. JSON replaces bytes that are not UTF-8. With
// protobuf a client reads and writes a ConfigMap exactly as it is stored.
func Protobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}
