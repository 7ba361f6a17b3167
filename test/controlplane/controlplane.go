// Package controlplane starts a real Kubernetes API server and the webhook, or the webhook alone, for tests and the demo. All
// programs listen on the loopback address and write into one temporary folder. The programs end with the process that
// started them, even if that process is killed.
package controlplane

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startTimeout is the time within which a program must become ready. It is ten times as long as a program takes on a busy
// machine with two cores.
const startTimeout = time.Minute

// ControlPlane is an etcd and a kube-apiserver.
type ControlPlane struct {
	// Admin is a client configuration of a user in the group system:masters.
	Admin *rest.Config
	// Kubeconfig is a kubeconfig file of the same user.
	Kubeconfig string
	// AuditLog is a file with the API server's audit events of writes to ConfigMaps. Each line has one event.
	AuditLog string

	assets string
	*Host
}

// Start starts a control plane, and meanwhile builds the webhook. The control plane runs until Stop is called or ctx ends.
// apiServerFlags are flags for the API server in addition to its usual flags.
func Start(ctx context.Context, apiServerFlags ...string) (_ *ControlPlane, err error) {
	assets, err := Assets(ctx)
	if err != nil {
		return nil, err
	}
	host, err := NewHost(ctx)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{
		Kubeconfig: filepath.Join(host.dir, "kubeconfig"),
		AuditLog:   filepath.Join(host.dir, "audit.log"),
		assets:     assets,
		Host:       host,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	if err := c.configure("https://" + ports[0]); err != nil {
		return nil, err
	}
	if err := c.startEtcd(ctx, ports[1], ports[2]); err != nil {
		return nil, err
	}
	if err := c.startAPIServer(ctx, ports[0], ports[1], apiServerFlags); err != nil {
		return nil, err
	}
	return c, nil
}

// Kubectl returns the path of a kubectl of the API server's version.
func (c *ControlPlane) Kubectl() string { return filepath.Join(c.assets, "kubectl") }

// Assets returns the folder with kube-apiserver, etcd and kubectl. This is KUBEBUILDER_ASSETS if it is set. Otherwise
// Assets builds the programs.
func Assets(ctx context.Context) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	// Find the folder of the root module. The other modules of the repository replace the root module by this folder.
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/awsauth-guard/awsauth-guard").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module's folder: %w", err)
	}
	script := filepath.Join(strings.TrimSpace(string(root)), "tools", "controlplane.sh")
	build := exec.CommandContext(ctx, script) //nolint:gosec // a script of this repository
	build.Stderr = os.Stderr
	dir, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("building the control plane with %s: %w", script, err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// configure writes the client configuration and the kubeconfig of the administrator.
func (c *ControlPlane) configure(server string) error {
	cert, key, err := c.ca.issue(pkix.Name{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}})
	if err != nil {
		return err
	}
	c.Admin = &rest.Config{
		Host: server,
		QPS:  -1, // no limit, because there is one client on one machine
		// To get warnings, a caller sets a handler in a copy.
		WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{
			CAData: c.ca.pem, CertData: cert, KeyData: key,
		},
	}
	const name = "awsauth-guard"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.ca.pem}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, c.Kubeconfig); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}

func (c *ControlPlane) startEtcd(ctx context.Context, client, peer string) error {
	etcd, err := c.start(ctx, "etcd", filepath.Join(c.assets, "etcd"),
		"--data-dir="+filepath.Join(c.dir, "etcd"),
		"--listen-client-urls=http://"+client,
		"--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+peer,
		"--unsafe-no-fsync", // the tests don't need the data after a crash
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return etcd.ready(ctx, func(ctx context.Context) error { return get(ctx, "http://"+client+"/health") })
}

// auditPolicy records the writes of ConfigMaps, and no other requests. The API server calls the webhook for those of aws-auth.
const auditPolicy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[
{"level":"Metadata","omitStages":["RequestReceived"],"verbs":["create","update","patch","delete","deletecollection"],
 "resources":[{"group":"","resources":["configmaps"]}]},
{"level":"None"}]}`

func (c *ControlPlane) startAPIServer(ctx context.Context, address, etcd string, flags []string) error {
	dir := filepath.Join(c.dir, "apiserver")
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ca, policy := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "audit.json")
	files, err := c.ca.serving("kube-apiserver")
	if err != nil {
		return err
	}
	files["ca.crt"], files["audit.json"] = c.ca.pem, []byte(auditPolicy)
	if err := new(volume{dir: dir}).write(files); err != nil {
		return fmt.Errorf("configuring kube-apiserver: %w", err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("reading the address of kube-apiserver: %w", err)
	}
	server, err := c.start(ctx, "kube-apiserver", filepath.Join(c.assets, "kube-apiserver"), append([]string{
		"--etcd-servers=http://" + etcd,
		"--bind-address=" + host, "--advertise-address=" + host, "--secure-port=" + port,
		"--endpoint-reconciler-type=none", // the Service kubernetes must not lead to a loopback address
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC",
		"--client-ca-file=" + ca, "--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + cert, "--service-account-signing-key-file=" + key,
		"--audit-policy-file=" + policy, "--audit-log-path=" + c.AuditLog,
		"--enable-priority-and-fairness=false", "--profiling=false",
	}, flags...)...)
	if err != nil {
		return err
	}
	core, err := typedcorev1.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return server.ready(ctx, func(ctx context.Context) error {
		if err := core.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		return createNamespace(ctx, core.Namespaces())
	})
}

// createNamespace creates kube-system if the API server has not created it yet.
func createNamespace(ctx context.Context, namespaces typedcorev1.NamespaceInterface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	_, err := namespaces.Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the namespace %s: %w", namespace.Name, err)
	}
	return nil
}

// FreePorts returns n different loopback addresses on which no process listens. Their ports are below the ports that Linux
// gives to outgoing connections (ip(7), ip_local_port_range: 32768 and above).
func FreePorts(n int) (list []string, err error) {
	var listeners []net.Listener
	defer func() { // keep every port in use until the end, so that FreePorts finds no port twice
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	for range 100 * n {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_768)) //nolint:gosec // no secret
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err != nil {
			continue
		}
		listeners = append(listeners, listener)
		if list = append(list, address); len(list) == n {
			return list, nil
		}
	}
	return nil, fmt.Errorf("looking for a free port: %w", err)
}

// get returns an error if the URL does not answer with the status 200.
func get(ctx context.Context, url string) error {
	_, err := fetch(ctx, url)
	return err
}

// httpClient closes a connection after each request, because each open connection keeps goroutines in the server.
var httpClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
