package kube_test

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// CA returns the CA in the data of a client configuration, or in its file. It reads the file at each call.
func TestCAOfAClientConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.crt")
	config := &rest.Config{TLSClientConfig: rest.TLSClientConfig{CAFile: file}}
	if _, err := kube.CA(config); err == nil {
		t.Error("no file, and no error")
	}
	for _, want := range []string{"a", "b"} {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := kube.CA(config); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	config.CAData = []byte("c")
	if got, err := kube.CA(config); err != nil || string(got) != "c" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := kube.CA(new(rest.Config)); err != nil || len(got) > 0 {
		t.Errorf("without a CA: got %q, %v", got, err)
	}
}
