package server_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// Only whether the configuration can be listed and watched counts, and since when it cannot.
func TestContact(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer s.Close()
	next, lost := server.NewContact(http.DefaultTransport)
	const collection = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	call := func(method, url string, answer int) {
		t.Helper()
		status.Store(int32(answer))
		request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := next.RoundTrip(request); err == nil {
			response.Body.Close()
		}
	}
	is := func(what string, want bool) {
		t.Helper()
		if got := !lost().IsZero(); got != want {
			t.Errorf("%s: lost is %t", what, got)
		}
	}
	is("at first", false)
	call(http.MethodGet, s.URL+collection+"/awsauth-guard", http.StatusForbidden)
	call(http.MethodPatch, s.URL+collection, http.StatusForbidden)
	call(http.MethodGet, s.URL+"/api/v1/configmaps", http.StatusForbidden)
	is("others fail", false)
	call(http.MethodGet, s.URL+collection+"?watch=true", http.StatusForbidden)
	is("a watch is forbidden", true)
	since := lost()
	if age := time.Since(since); age < 0 || age > time.Minute {
		t.Errorf("lost %s ago", age)
	}
	call(http.MethodGet, s.URL+collection, http.StatusServiceUnavailable)
	if !lost().Equal(since) {
		t.Error("a second failure begins anew")
	}
	call(http.MethodGet, s.URL+collection+"/awsauth-guard", http.StatusOK)
	is("a read by name", true)
	call(http.MethodGet, s.URL+collection, http.StatusOK)
	is("it can be listed", false)
	call(http.MethodGet, s.URL+collection, http.StatusGone)
	is("the version is too old", false)
	call(http.MethodGet, "http://127.0.0.1:0"+collection, http.StatusOK)
	is("nobody answers", true)
}
