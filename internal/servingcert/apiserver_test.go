package servingcert_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

type webhookConfig = admissionregistrationv1.ValidatingWebhookConfiguration

// apiServer imitates an API server with the Secret and the ValidatingWebhookConfiguration. It refuses a write that is not based
// on the present version.
type apiServer struct {
	t  *testing.T
	mu sync.Mutex

	secret        *corev1.Secret
	config        *webhookConfig
	secretFails   bool   // reading the Secret fails
	createFails   bool   // creating the Secret is forbidden
	beforePatch   func() // a change by another client just before a write of the configuration
	reads, writes int
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	var sent struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if r.Method != http.MethodGet {
		s.writes++
		if err := json.Unmarshal(body, &sent); err != nil {
			s.t.Error(err)
		}
	} else {
		s.reads++
	}
	if r.Method == http.MethodPatch && !strings.HasSuffix(r.URL.Path, "/secrets/ca") && s.beforePatch != nil {
		s.beforePatch()
	}
	isSecret := strings.HasSuffix(r.URL.Path, "/secrets/ca")
	switch {
	case isSecret && s.secretFails:
		answer(w, http.StatusInternalServerError, status(http.StatusInternalServerError, metav1.StatusReasonInternalError))
	case isSecret && s.secret == nil && r.Method != http.MethodPatch:
		answer(w, http.StatusNotFound, status(http.StatusNotFound, metav1.StatusReasonNotFound))
	case isSecret && r.Method == http.MethodPatch && s.createFails:
		answer(w, http.StatusForbidden, status(http.StatusForbidden, metav1.StatusReasonForbidden))
	case isSecret && r.Method == http.MethodPatch:
		s.secret = new(corev1.Secret)
		if err := json.Unmarshal(body, s.secret); err != nil {
			s.t.Error(err)
		}
		s.secret.ResourceVersion = "1000"
		answer(w, http.StatusOK, s.secret)
	case isSecret && r.Method == http.MethodGet:
		answer(w, http.StatusOK, s.secret)
	case isSecret && sent.Metadata.ResourceVersion == s.secret.ResourceVersion:
		s.secret = new(corev1.Secret)
		if err := json.Unmarshal(body, s.secret); err != nil {
			s.t.Error(err)
		}
		next(&s.secret.ObjectMeta)
		answer(w, http.StatusOK, s.secret)
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, s.config)
	case !isSecret && sent.Metadata.ResourceVersion == s.config.ResourceVersion:
		s.patch(body)
		answer(w, http.StatusOK, s.config)
	default:
		answer(w, http.StatusConflict, status(http.StatusConflict, metav1.StatusReasonConflict))
	}
}

func (s *apiServer) patch(body []byte) {
	before, err := json.Marshal(s.config)
	if err != nil {
		s.t.Error(err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, body, s.config)
	if err != nil {
		s.t.Error(err)
	}
	s.config = new(webhookConfig)
	if err := json.Unmarshal(after, s.config); err != nil {
		s.t.Error(err)
	}
	next(&s.config.ObjectMeta)
}

// next increases the resource version.
func next(m *metav1.ObjectMeta) {
	n, _ := strconv.Atoi(m.ResourceVersion)
	m.ResourceVersion = strconv.Itoa(n + 1)
}

func status(code int32, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "it does not work"}
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) //nolint:errchkjson // the client notices
}

// replica is one process with its API server and its recorder of metrics.
type replica struct {
	*servingcert.SelfManaged
	*apiServer
	clock    time.Time
	log      bytes.Buffer
	recorded []any // arguments of the last call of ServingTrust
	stored   bool  // argument of the last call of ServingCAStored
	leads    bool
	won      func() // called when the replica becomes the leader
}

// Elect makes the replica the leader, or not the leader.
func (s *replica) Elect(leads bool) {
	if s.leads = leads; leads {
		s.won()
	}
}

func (s *replica) IsLeader() bool { return s.leads }

func (s *replica) OnWon(call func()) { s.won = call }

func (s *replica) ServingCertificate(time.Time) {}

func (s *replica) ServingCAStored(stored bool) { s.stored = stored }

func (s *replica) ServingTrust(caEnds time.Time, trusted bool) { s.recorded = []any{caEnds, trusted} }

func newReplica(t *testing.T) *replica {
	t.Helper()
	s := &replica{clock: epoch, apiServer: &apiServer{
		t:      t,
		secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "guard", Name: "ca", ResourceVersion: "1"}},
		config: &webhookConfig{
			ObjectMeta: metav1.ObjectMeta{Name: "guard", ResourceVersion: "1", Annotations: map[string]string{servingcert.CAAnnotation: "guard/ca"}},
			Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "enforce"}, {Name: "observe"}},
		},
	}}
	listener := httptest.NewServer(s.apiServer)
	t.Cleanup(listener.Close)
	var err error
	s.SelfManaged, err = servingcert.New(servingcert.Options{
		Config: &rest.Config{Host: listener.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}},
		Secret: servingcert.Name{Namespace: "guard", Name: "ca"}, WebhookConfiguration: "guard",
		Service: servingcert.Name{Namespace: "kube-system", Name: "guard"},
		Logger:  slog.New(slog.NewTextHandler(&s.log, nil)), Recorder: s, Now: func() time.Time { return s.clock },
		Election: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Elect(true)
	return s
}

// reconcile advances the clock by later, lets the watch receive both objects, and reconciles once.
func (s *replica) reconcile(t *testing.T, later time.Duration) {
	t.Helper()
	s.clock = s.clock.Add(later)
	if err := s.Reconcile(t.Context(), s.secret.DeepCopy(), s.config.DeepCopy()); err != nil {
		t.Fatal(err)
	}
}

// started returns a replica that is ready.
func started(t *testing.T) *replica {
	t.Helper()
	s := newReplica(t)
	for range 3 {
		s.reconcile(t, time.Second)
	}
	if err := s.Ready(nil); err != nil {
		t.Fatalf("%v\n%s", err, &s.log)
	}
	return s
}

// setBundles replaces every caBundle with text, as another client could do. The managed fields name their-tool as this client.
func (s *replica) setBundles(text []byte) {
	for i := range s.config.Webhooks {
		s.config.Webhooks[i].ClientConfig.CABundle = text
	}
	s.config.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "awsauth-guard", Time: &metav1.Time{Time: s.clock}}, {Manager: "their-tool", Time: &metav1.Time{Time: s.clock.Add(-time.Second)}},
	}
	next(&s.config.ObjectMeta)
}

func (s *replica) bundle() string { return string(s.config.Webhooks[1].ClientConfig.CABundle) }

// logged counts the log lines that contain a text.
func (s *replica) logged(text string) int { return strings.Count(s.log.String(), text) }
