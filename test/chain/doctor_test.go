package chain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// situation is a cluster and the machine of a user. The zero values of its fields are not useful; newSituation returns a situation
// without faults.
type situation struct {
	// The cluster.
	data    map[string]string // the data of aws-auth; nil if aws-auth does not exist
	mode    access.Mode
	entries []access.AccessEntry
	fields  map[string]any // fields of DescribeCluster that replace the usual ones
	denied  []string       // actions of EKS that the caller may not use
	// noCluster means that EKS finds no cluster in the caller's account, because the cluster belongs to another account.
	noCluster bool
	created   map[string]time.Time // when IAM created principals, by ARN
	creator   string               // the ARN of the principal that created the cluster, as CloudTrail reports it

	// The user's machine.
	caller  int    // the index of the user in callers
	keyID   string // the access key id if it isn't the caller's
	secret  string
	environ []string
	config  string        // the config file of the AWS CLI
	aws     string        // the shell script that stands in for the AWS CLI
	ahead   time.Duration // how far the clock of AWS is ahead of the machine's
	// user, server and context change parts of the kubeconfig, if they are not nil.
	user    func(*clientcmdapi.AuthInfo)
	server  func(*clientcmdapi.Cluster)
	context func(*clientcmdapi.Config)
	args    []string // the arguments of doctor
	timeout string   // --request-timeout of kubectl
}

// doctorWorld is the cluster and the user's machine in which the test puts one situation after another into effect.
type doctorWorld struct {
	cluster       *controlplane.ControlPlane
	client        *kubernetes.Clientset
	authenticator *authenticator
	running       *controlplane.Program
	aws           *fakeAWS
	eks           *ekstest.Server
	iam           *iamtest.Server
	trail         *httptest.Server

	dir     string // the user's home folder
	program string // the path of kubectl-awsauth
	stamp   int
	creator string
}

func newDoctorWorld(t *testing.T) *doctorWorld {
	t.Helper()
	w := &doctorWorld{eks: ekstest.New(t), aws: newFakeAWS(t), iam: iamtest.New(t), authenticator: newAuthenticator(t), dir: t.TempDir()}
	w.trail = httptest.NewServer(http.HandlerFunc(w.answerCloudTrail))
	t.Cleanup(w.trail.Close)
	w.program = buildPlugin(t, w.dir)
	w.authenticator.setMode(t, access.ModeConfigMap)
	w.authenticator.setEntries(t, nil)
	var err error
	// By default, the API server caches the authenticator's answers, also refusals, for two minutes. A later situation could get
	// the answer of an earlier one, so turn this cache off.
	if w.cluster, err = controlplane.Start(t.Context(), "--authentication-token-webhook-config-file="+w.authenticator.webhookConfig(), "--authentication-token-webhook-cache-ttl=0s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.running = w.authenticator.start(t, w.cluster, w.aws.environ)
	if w.client, err = kubernetes.NewForConfig(w.cluster.Admin); err != nil {
		t.Fatal(err)
	}
	w.bindOps(t)
	for i := range callers {
		w.iam.Caller(accessKey(i), callers[i].arn)
	}
	return w
}

// buildPlugin builds kubectl-awsauth in a folder and returns its path.
func buildPlugin(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "kubectl-awsauth")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, "./cmd/kubectl-awsauth")
	build.Dir = filepath.Join("..", "..") // the module of kubectl-awsauth
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build kubectl-awsauth: %v\n%s", err, out)
	}
	return program
}

// bindOps lets the group ops read pods. It makes a role for this, because the role view is empty without a controller manager.
func (w *doctorWorld) bindOps(t *testing.T) {
	t.Helper()
	client := w.client.RbacV1()
	if _, err := client.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "pod-reader"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "ops"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pod-reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "ops"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// answerCloudTrail stands in for CloudTrail and CloudWatch Logs, which need an AWS account.
func (w *doctorWorld) answerCloudTrail(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".LookupEvents") && w.creator != "" {
		event := fmt.Sprintf(`{"eventSource":"eks.amazonaws.com","requestParameters":{"name":%q},"userIdentity":{"arn":"arn:aws:sts::111122223333:assumed-role/founder/x","sessionContext":{"sessionIssuer":{"arn":%q}}}}`,
			ekstest.Name, w.creator)
		fmt.Fprintf(rw, `{"Events":[{"EventName":"CreateCluster","CloudTrailEvent":%q}]}`, event)
		return
	}
	rw.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
	rw.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(rw, `{"__type":"AccessDeniedException","message":"User is not authorized"}`)
}

// opsCaller is the user of most situations: a session of the role ClusterOps.
const opsCaller = 4

// workingCLI stands in for the AWS CLI. It makes tokens with the released aws-iam-authenticator.
const (
	workingCLI = `while [ $# -gt 0 ]; do
  case "$1" in
    --cluster-name) name=$2; shift ;;
    --role-arn) role="-r $2"; shift ;;
    --region) AWS_REGION=$2; export AWS_REGION; shift ;;
    --profile) AWS_PROFILE=$2; export AWS_PROFILE; unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; shift ;;
  esac
  shift
done
exec aws-iam-authenticator token -i "$name" $role
`
)

// newSituation returns a situation in which the user can log in and read pods. The kubeconfig is the one that aws eks update-kubeconfig
// writes.
func newSituation() *situation {
	return &situation{
		data: map[string]string{"mapRoles": element("rolearn", iam+"role/ClusterOps", "ops", "ops")},
		mode: access.ModeAPIAndConfigMap, caller: opsCaller, secret: secret, aws: workingCLI,
		created: map[string]time.Time{}, timeout: "30s", args: []string{"--admin-context", "admin"},
	}
}

// element returns an element of mapRoles or mapUsers.
func element(key, arn, username string, groups ...string) string {
	return fmt.Sprintf("- %s: %s\n  username: %s\n  groups: [%s]\n", key, arn, username, strings.Join(groups, ", "))
}

// kubeconfig writes the kubeconfig of the user and returns its path.
func (w *doctorWorld) kubeconfig(t *testing.T, s *situation) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	cluster := &clientcmdapi.Cluster{Server: w.cluster.Admin.Host, CertificateAuthorityData: w.cluster.Admin.CAData}
	if s.server != nil {
		s.server(cluster)
	}
	user := &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1beta1", Command: "aws", InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
		Args: []string{"--region", region, "eks", "get-token", "--cluster-name", ekstest.Name, "--output", "json"},
	}}
	if s.user != nil {
		s.user(user)
	}
	const name = "arn:aws:eks:" + region + ":111122223333:cluster/" + ekstest.Name
	config.Clusters[name] = cluster
	config.AuthInfos[name] = user
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: w.cluster.Admin.CertData, ClientKeyData: w.cluster.Admin.KeyData}
	config.Clusters["admin"] = &clientcmdapi.Cluster{Server: w.cluster.Admin.Host, CertificateAuthorityData: w.cluster.Admin.CAData}
	config.Contexts["prod"] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.Contexts["admin"] = &clientcmdapi.Context{Cluster: "admin", AuthInfo: "admin"}
	config.CurrentContext = "prod"
	if s.context != nil {
		s.context(config)
	}
	file := filepath.Join(w.dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// environ writes the user's files, and returns the environment of the user's programs.
func (w *doctorWorld) environ(t *testing.T, s *situation) []string {
	t.Helper()
	bin := filepath.Join(w.dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{filepath.Join(bin, "aws"): "#!/bin/sh\n" + s.aws, filepath.Join(w.dir, "config"): s.config} {
		if err := os.WriteFile(name, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	keyID := s.keyID
	if keyID == "" {
		keyID = accessKey(s.caller)
	}
	environ := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "AWS_") || strings.HasPrefix(pair, "PATH=") || strings.HasPrefix(pair, "HOME=") || strings.HasPrefix(pair, "KUBE")
	})
	environ = append(environ, w.aws.environ...)
	environ = append(environ,
		"HOME="+w.dir, "PATH="+bin+":"+filepath.Dir(w.authenticator.program)+":/usr/bin:/bin", "NO_PROXY=127.0.0.1,.invalid",
		"AWS_CONFIG_FILE="+filepath.Join(w.dir, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(w.dir, "credentials"),
		"AWS_REGION="+region, "AWS_EC2_METADATA_DISABLED=true", "AWS_STS_REGIONAL_ENDPOINTS=regional",
		"AWS_ENDPOINT_URL_EKS="+w.eks.URL, "AWS_ENDPOINT_URL_IAM="+w.iam.URL, "AWS_ENDPOINT_URL_CLOUDTRAIL="+w.trail.URL, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS="+w.trail.URL,
		"AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+s.secret, "AWS_SESSION_TOKEN="+w.sessionToken(),
		"KUBECONFIG="+w.kubeconfig(t, s),
	)
	return append(environ, s.environ...)
}

// sessionToken is the beginning of the session token of every caller.
const sessionToken = "a-session-token-of-some-length"

// sessionToken returns the session token of the current situation. Each situation has another one. Otherwise two tokens that are signed
// in the same second with the same credentials would be equal, and the API server caches a successful login for ten seconds
// (TokenSuccessCacheTTL, for which it has no flag).
func (w *doctorWorld) sessionToken() string { return fmt.Sprintf("%s-%d", sessionToken, w.stamp) }

// set changes the cluster and the stand-ins for AWS to those of a situation, and waits until the authenticator has read the change.
func (w *doctorWorld) set(t *testing.T, s *situation) {
	t.Helper()
	w.stamp++
	username := fmt.Sprintf("canary-%d", w.stamp)
	canary := ekstest.Entry(iam + "role/Canary")
	canary.Username = username
	entries := append(slices.Clone(s.entries), canary)
	for i := range entries {
		entries[i].Created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		w.iam.Create(entries[i].PrincipalARN, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	for arn, at := range s.created {
		w.iam.Create(arn, at)
	}
	w.creator = s.creator
	w.eks.Set(s.mode, entries...)
	fields := map[string]any{"endpoint": w.cluster.Admin.Host, "certificateAuthority": map[string]any{"data": w.cluster.Admin.CAData}}
	maps.Copy(fields, s.fields)
	w.eks.SetFields(fields)
	for _, action := range []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry"} {
		w.eks.Answer(action, nil)
		if slices.Contains(s.denied, action) {
			w.eks.Answer(action, ekstest.AccessDenied(action))
		}
		if s.noCluster {
			w.eks.Answer(action, ekstest.Error(http.StatusNotFound, "ResourceNotFoundException", "No cluster found for name: "+ekstest.Name+"."))
		}
	}
	w.authenticator.setEntries(t, entries)
	w.authenticator.setMode(t, s.mode)
	w.store(t, s.data, username)
	w.settle(t, s, username)
	w.aws.ahead.Store(int64(s.ahead))
}

// store stores aws-auth with the data and an entry for the canary. canary is the canary's username. If data is nil, store only deletes
// aws-auth.
func (w *doctorWorld) store(t *testing.T, data map[string]string, canary string) {
	t.Helper()
	configMaps := w.client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	if err := configMaps.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if data == nil {
		return
	}
	stored := map[string]string{"mapUsers": data["mapUsers"] + element("userarn", callers[canaryCaller].arn, canary)}
	for key, text := range data {
		if key != "mapUsers" {
			stored[key] = text
		}
	}
	if _, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: stored}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// settle waits until the authenticator has read the change. Each source of access has a canary. If the mode uses the source, the
// canary logs in with the new username. Otherwise the canary can't log in.
func (w *doctorWorld) settle(t *testing.T, s *situation, username string) {
	t.Helper()
	w.aws.ahead.Store(0)
	c := &chain{cluster: w.cluster, aws: w.aws}
	for canary, source := range map[int]bool{canaryCaller: s.mode != access.ModeAPI && s.data != nil, entryCanaryCaller: s.mode != access.ModeConfigMap} {
		eventually(t, func(context.Context) error {
			user := c.login(t, canary)
			if got := user != nil && user.Username == username; got != source || !source && user != nil {
				return fmt.Errorf("the authenticator has not read the change: %s logs in as %v", callers[canary].arn, user)
			}
			return nil
		})
	}
}

// outcome is the result of kubectl and of doctor in a situation.
type outcome struct {
	symptom string   // kubectl's error
	status  int      // doctor's exit status
	report  struct { // doctor's output in JSON
		Principal *struct {
			ARN string `json:"arn"`
		} `json:"principal"`
		User *struct {
			Username string `json:"username"`
		} `json:"user"`
		Steps []struct {
			Number int    `json:"step"`
			Found  string `json:"found"`
		} `json:"steps"`
		Cause *struct {
			ID    string `json:"id"`
			User  string `json:"user"`
			Admin string `json:"admin"`
		} `json:"cause"`
	}
	text string // the text output of doctor
}

// try runs kubectl and then doctor as the user.
func (w *doctorWorld) try(t *testing.T, s *situation) outcome {
	t.Helper()
	environ := w.environ(t, s)
	var o outcome
	_, _, kubectl := w.run(t, environ, w.cluster.Kubectl(), append([]string{"get", "pods", "--request-timeout=" + s.timeout}, contextOf(s)...)...)
	o.symptom = lastError(kubectl)
	args := append([]string{"doctor"}, s.args...)
	var stdout, stderr string
	o.status, stdout, stderr = w.run(t, environ, w.program, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(stdout), &o.report); err != nil {
		t.Fatalf("doctor: status %d, %v\n%s%s", o.status, err, stdout, stderr)
	}
	var status int
	status, o.text, stderr = w.run(t, environ, w.program, args...)
	if status != o.status || stderr != "" {
		t.Errorf("doctor: status %d with text and %d with JSON\n%s", status, o.status, stderr)
	}
	w.checkSecrets(t, environ, stdout+o.text+stderr)
	return o
}

// lastError returns the last line of kubectl's output that begins with an error. The lines after it explain the error. If no line
// begins with an error, lastError returns the last line.
func lastError(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range slices.Backward(lines) {
		for _, prefix := range []string{"error:", "Error", "Unable to connect", "The connection to"} {
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
	}
	return lines[len(lines)-1]
}

// silentServer returns the address of a server that accepts connections and never answers.
func (w *doctorWorld) silentServer(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String() // the kernel accepts connections, because the socket listens
}

// contextOf returns the flag --context and its value, if doctor's arguments have it. kubectl takes the same flag.
func contextOf(s *situation) []string {
	if i := slices.Index(s.args, "--context"); i >= 0 {
		return s.args[i : i+2]
	}
	return nil
}

// checkSecrets fails the test if outputs, or the output of whoami, has a token, a part of a token or a secret.
func (w *doctorWorld) checkSecrets(t *testing.T, environ []string, outputs string) {
	t.Helper()
	_, whoami, notes := w.run(t, environ, w.program, "whoami")
	_, inJSON, moreNotes := w.run(t, environ, w.program, "whoami", "-o", "json")
	outputs += whoami + notes + inJSON + moreNotes
	for _, part := range []string{"k8s-aws-v1", "aHR0cHM6Ly9zdHM", "X-Amz-", "GetCallerIdentity&", secret, sessionToken} {
		if strings.Contains(outputs, part) {
			t.Errorf("the output of doctor or whoami has %q:\n%s", part, outputs)
		}
	}
}

// run runs a program of the user. The test fails if the program can't start.
func (w *doctorWorld) run(t *testing.T, environ []string, path string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = environ, w.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// otherCA returns the certificate of a CA that signed no API server.
func (w *doctorWorld) otherCA(t *testing.T) []byte {
	t.Helper()
	certificate, _, err := certutil.GenerateSelfSignedCertKey("other.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
