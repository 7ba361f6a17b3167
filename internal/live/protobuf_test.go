package live_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// In JSON the API server shows U+FFFD in place of a byte that is not UTF-8.
func TestReadsProtobuf(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Accept")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	cluster, err := live.Connect(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	var o live.Options
	cluster.Complete(t.Context(), &o, "guard", "guard", func() int { return 1 })
	if _, err := o.ConfigMaps.List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a list from nowhere")
	}
	if got := <-asked; !strings.HasPrefix(got, "application/vnd.kubernetes.protobuf,") {
		t.Errorf("it accepts %q", got)
	}
}
