package servingcert_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	a, b, c := newCA(t, 3*time.Hour), newCA(t, 2*time.Hour), newCA(t, time.Hour)
	letters := names{"a": a, "b": b, "c": c}
	stranger := map[string][]byte{"mine": []byte("x"), "next.crt": []byte("old")}
	for _, s := range []servingcert.State{
		{},
		{Current: a},
		{Current: a, Next: b, Rotated: "x"},
		{Current: b, Previous: certs(c, a)},
		{Next: b, Previous: certs(a)},
	} {
		data, err := servingcert.EncodeState(s, stranger)
		if err != nil {
			t.Fatal(err)
		}
		if string(data["mine"]) != "x" || string(data["next.crt"]) == "old" {
			t.Errorf("%s: keys of others are not kept, or ours are", letters.text(s))
		}
		got, err := servingcert.DecodeState(data, []string{host})
		if err != nil || letters.text(got) != letters.text(s) || got.Rotated != s.Rotated {
			t.Errorf("%s: got %s, %v", letters.text(s), letters.text(got), err)
		}
		again, err := servingcert.EncodeState(got, data)
		if err != nil || !maps.EqualFunc(again, data, bytes.Equal) {
			t.Errorf("%s: written again it is different", letters.text(s))
		}
	}
}

// DecodeState leaves out content that it can't decode. The error contains no part of a key.
func TestDecodeDamagedState(t *testing.T) {
	t.Parallel()
	a, b := newCA(t, 2*time.Hour), newCA(t, time.Hour)
	letters := names{"a": a, "b": b}
	whole, err := servingcert.EncodeState(servingcert.State{Current: a, Next: b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, a, 0)
	for _, tt := range []struct {
		name   string
		change map[string][]byte
		want   string
		err    string
	}{
		{"no key", map[string][]byte{"ca.key": nil}, "- b ", "ca.crt and ca.key: the key is not a PEM block of type PRIVATE KEY"},
		{"no certificate", map[string][]byte{"next.crt": nil}, "a - ", "next.crt and next.key: expected one certificate, found 0"},
		{"two certificates", map[string][]byte{"ca.crt": append(bytes.Clone(whole["ca.crt"]), whole["next.crt"]...)}, "- b ", "ca.crt and ca.key: expected one certificate, found 2"},
		{"another key", map[string][]byte{"ca.key": whole["next.key"]}, "- b ", "ca.crt and ca.key: the key does not belong to the certificate"},
		{"half a key", map[string][]byte{"ca.key": []byte("-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n")}, "- b ", "ca.crt and ca.key: the key is not in PKCS #8"},
		{"not a CA certificate", map[string][]byte{"ca.crt": servingcert.EncodeCertificates(leaf.Leaf)}, "- b ", "ca.crt and ca.key: the key does not belong to the certificate"},
		{"garbage beside it", map[string][]byte{"previous.crt": []byte("garbage")}, "a b ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := maps.Clone(whole)
			maps.Copy(data, tt.change)
			got, err := servingcert.DecodeState(data, []string{host})
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff([]string{tt.want, tt.err}, []string{letters.text(got), text}); diff != "" {
				t.Errorf("state and error (-want +got):\n%s", diff)
			}
			if strings.Contains(text, "SECRET") || strings.Contains(text, "U0VD") {
				t.Error("the error holds the key")
			}
		})
	}
}
