package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestHistoryScripts runs the scripts that need a cluster. They have two more commands: "cluster FILE" starts a fake
// cluster in the state that the file describes. "stored FILE" writes the requests that changed the cluster, and the current
// aws-auth, to a file.
func TestHistoryScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "history"),
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "cluster": startCluster, "stored": storedObject,
		},
	})
}

// clusterState is the state of a fake cluster, as a script describes it.
type clusterState struct {
	Live      *corev1.ConfigMap
	Objects   []corev1.ConfigMap
	Histories []struct {
		Namespace, Name string
		Versions        []history.Version
		Damaged         []string // keys of the history's ConfigMap whose values are replaced with an invalid one
	}
	Guards    *[]string      // namespaces of the guards' Services; by default the namespace of the last object
	Forbidden []string       // such as "list /api/v1/configmaps"
	Answer    *metav1.Status // the response to a write
	Warnings  []string       // the warnings in the response to a write
	Meanwhile bool           // another client writes just before the program's write
	Conflicts int            // how many times another client adds an entry to mapUsers just before the program's write
}

// fakeCluster imitates an API server. It has only the endpoints that the commands need.
type fakeCluster struct {
	clusterState

	mu     sync.Mutex
	writes []string // the method and the query of each write
}

const liveURL = "/api/v1/namespaces/kube-system/configmaps/aws-auth"

const webhooksURL = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

// webhooks responds with a list of ValidatingWebhookConfigurations: that of another program, and one for each guard.
func (c *fakeCluster) webhooks(w http.ResponseWriter) {
	type configuration = admissionregistrationv1.ValidatingWebhookConfiguration
	hook := func(name, namespace string) configuration {
		service := &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: "guard"}
		return configuration{
			ObjectMeta: metav1.ObjectMeta{Name: namespace},
			Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: name, ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: service}}},
		}
	}
	var namespaces []string
	switch {
	case c.Guards != nil:
		namespaces = *c.Guards
	case len(c.Objects) > 0:
		namespaces = []string{c.Objects[len(c.Objects)-1].Namespace}
	}
	list := admissionregistrationv1.ValidatingWebhookConfigurationList{
		TypeMeta: metav1.TypeMeta{Kind: "ValidatingWebhookConfigurationList", APIVersion: "admissionregistration.k8s.io/v1"},
		Items:    []configuration{hook("aws-auth.example.com", "other")},
	}
	for _, namespace := range namespaces {
		list.Items = append(list.Items, hook("aws-auth.awsauth-guard.io", namespace), hook("observe.awsauth-guard.io", namespace))
	}
	answerJSON(w, http.StatusOK, list)
}

func (c *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	verb := map[string]string{http.MethodGet: "get", http.MethodPut: "update", http.MethodPost: "create"}[r.Method]
	if r.Method == http.MethodGet && (strings.HasSuffix(r.URL.Path, "/configmaps") || r.URL.Path == webhooksURL) {
		verb = "list"
	}
	switch {
	case slices.Contains(c.Forbidden, verb+" "+r.URL.Path):
		fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, `configmaps is forbidden: User "alice" cannot `+verb+" it")
	case r.URL.Path == webhooksURL:
		c.webhooks(w)
	case verb == "list":
		c.list(w, r)
	case verb == "get":
		c.get(w, r.URL.Path)
	default:
		c.write(w, r)
	}
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	answerJSON(w, code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message})
}

func answerJSON(w http.ResponseWriter, code int, object any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) //nolint:errchkjson // the client notices
}

func (c *fakeCluster) list(w http.ResponseWriter, r *http.Request) {
	list := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}}
	for _, cm := range c.Objects {
		in := r.URL.Path == "/api/v1/configmaps" || r.URL.Path == "/api/v1/namespaces/"+cm.Namespace+"/configmaps"
		if in && cm.Labels[history.Label] == "true" && r.URL.Query().Get("labelSelector") == history.Label+"=true" {
			list.Items = append(list.Items, cm)
		}
	}
	answerJSON(w, http.StatusOK, list)
}

func (c *fakeCluster) get(w http.ResponseWriter, path string) {
	if path == liveURL && c.Live != nil {
		answerJSON(w, http.StatusOK, c.Live)
		return
	}
	for _, cm := range c.Objects {
		if path == "/api/v1/namespaces/"+cm.Namespace+"/configmaps/"+cm.Name {
			answerJSON(w, http.StatusOK, cm)
			return
		}
	}
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("configmaps %q not found", filepath.Base(path)))
}

func (c *fakeCluster) write(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/apis/authentication.k8s.io/v1/selfsubjectreviews" {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
		return
	}
	c.writes = append(c.writes, r.Method+" "+r.URL.RawQuery)
	for _, text := range c.Warnings {
		w.Header().Add("Warning", `299 - "`+text+`"`)
	}
	if c.Meanwhile {
		c.Live.ResourceVersion += "1"
	}
	if c.Conflicts > 0 {
		if c.Live == nil {
			c.Live = &corev1.ConfigMap{
				TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
				ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: "kube-system"}, Data: map[string]string{},
			}
		}
		c.Live.ResourceVersion += "1"
		c.Live.Data["mapUsers"] += fmt.Sprintf("- userarn: arn:aws:iam::111122223333:user/u%d\n  username: u%[1]d\n", c.Conflicts)
		c.Conflicts--
	}
	body, err := io.ReadAll(r.Body)
	sent := new(corev1.ConfigMap)
	if err == nil {
		err = runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), body, sent)
	}
	existing := r.Method == http.MethodPut
	switch {
	case err != nil || existing && r.URL.Path != liveURL || !existing && r.URL.Path != "/api/v1/namespaces/kube-system/configmaps":
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, r.URL.Path)
	case c.Answer != nil:
		answerJSON(w, int(c.Answer.Code), c.Answer)
	case !existing && c.Live != nil:
		fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "configmaps \"aws-auth\" already exists")
	case existing && sent.ResourceVersion != c.Live.ResourceVersion:
		fail(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	case r.URL.Query().Get("dryRun") == metav1.DryRunAll:
		answerJSON(w, http.StatusOK, sent)
	default:
		c.Live = sent
		answerJSON(w, http.StatusOK, sent)
	}
}

// running has the fake cluster of each script that runs. The key is the work folder of the script.
var running sync.Map

func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cluster FILE")
	}
	c := new(fakeCluster)
	ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(args[0])), &c.clusterState))
	for _, h := range c.Histories {
		cm := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: h.Name, Labels: map[string]string{history.Label: "true"}}}
		log := new(history.Log)
		for i, v := range h.Versions {
			if !v.Deleted {
				v.Hash = history.Hash(v.Data, v.BinaryData)
			}
			v.ResourceVersion, v.Time = fmt.Sprint(100+i), time.Date(2026, 3, 1, 12, i, 0, 0, time.UTC)
			log.Append(v)
		}
		ts.Check(log.Write(&cm, 100))
		for _, key := range h.Damaged {
			cm.BinaryData[key] = []byte("?")
		}
		c.Objects = append(c.Objects, cm)
	}
	if c.Live != nil {
		c.Live.Name, c.Live.Namespace, c.Live.ResourceVersion = "aws-auth", "kube-system", "7"
	}
	server := httptest.NewTLSServer(c)
	ts.Defer(server.Close)
	work := ts.Getenv("WORK")
	running.Store(work, c)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "prod",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": server.URL, "certificate-authority-data": ca}}},
		"contexts": []any{map[string]any{"name": "prod", "context": map[string]any{"cluster": "c"}}},
	})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(work, "kubeconfig"), config, 0o600))
	ts.Setenv("KUBECONFIG", filepath.Join(work, "kubeconfig"))
}

// storedObject writes to a file the method and the query of each write that the cluster received, and then the stored aws-auth.
func storedObject(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stored FILE")
	}
	value, _ := running.Load(ts.Getenv("WORK"))
	c, ok := value.(*fakeCluster)
	if !ok {
		ts.Fatalf("the script has started no cluster; use the command cluster first")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := yaml.Marshal(c.Live)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(append(c.writes, string(text)), "\n")), 0o600))
}

// clusterWithVersion starts a cluster whose history has only the version v.
func clusterWithVersion(t *testing.T, v history.Version) (kubeconfig string) {
	t.Helper()
	cm := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "guard", Name: "guard-history", Labels: map[string]string{history.Label: "true"}}}
	log := new(history.Log)
	v.Hash, v.Origin, v.Verdict = history.Hash(v.Data, v.BinaryData), history.Changed, validate.ActionAllow
	log.Append(v)
	if err := log.Write(&cm, 10); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&fakeCluster{clusterState: clusterState{Objects: []corev1.ConfigMap{cm}}})
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	writeFile(t, kubeconfig, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"prod","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"prod","context":{"cluster":"c"}}]}`, server.URL))
	return kubeconfig
}
