package fleet_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// A client reads at most the limit of bytes, in one response or in several.
func TestLimitResponsesCountsAllResponses(t *testing.T) {
	const limit = 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := map[string]int{"/half": limit / 2, "/whole": limit, "/more": limit + 1}[r.URL.Path]
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", size)))
	}))
	defer server.Close()
	for _, test := range []struct {
		paths []string
		ok    bool
	}{
		{[]string{"/whole"}, true},
		{[]string{"/half", "/half"}, true},
		{[]string{"/more"}, false},
		{[]string{"/half", "/half", "/half"}, false},
	} {
		client := &http.Client{Transport: fleet.LimitResponses(limit)(http.DefaultTransport)}
		var err error
		total := 0
		for _, path := range test.paths {
			request, e := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
			if e != nil {
				t.Fatal(e)
			}
			response, e := client.Do(request)
			if e != nil {
				t.Fatal(e)
			}
			body, e := io.ReadAll(response.Body)
			_ = response.Body.Close()
			total += len(body)
			if e != nil {
				err = e
			}
		}
		if (err == nil) != test.ok || total > limit {
			t.Errorf("%v: %v, %d bytes", test.paths, err, total)
		}
		if err != nil && err.Error() != "the API server sent more than 1 MiB" {
			t.Error(err)
		}
	}
}
