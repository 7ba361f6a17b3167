package oracle_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// seeds are the texts of the rules' cases.
func seeds(tb testing.TB) []map[string]string {
	tb.Helper()
	files, err := filepath.Glob("../../internal/validate/testdata/*/*/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases: %v", err)
	}
	visible := strings.NewReplacer("<TAB>", "\t", "<NBSP>", "\u00a0", "<CR>", "\r", "<BOM>", "\ufeff", "<ZWSP>", "\u200b")
	var all []map[string]string
	for _, file := range files {
		if filepath.Base(file) == "bad-alias-size.txtar" {
			continue // agreed: the guard does not unfold what the authenticator spends its memory on
		}
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range archive.Files {
			manifests, _ := awsauth.ParseManifests([]byte(visible.Replace(string(f.Data))))
			for _, m := range manifests {
				all = append(all, m.Object.Data)
			}
		}
	}
	return all
}

// callers are the ARNs to ask for: every ARN in the text, its session form, other cases, an absent one.
func callers(data map[string]string) []string {
	list := []string{"arn:aws:iam::999999999999:role/absent", "arn:aws:iam::111122223333:user/absent"}
	for _, text := range data {
		for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"',{}[]#", r) }) {
			if !strings.Contains(strings.ToLower(field), "arn:") {
				continue
			}
			list = append(list, field, strings.ToUpper(field), strings.ToLower(field))
			parts := strings.SplitN(field, ":", 6)
			if len(parts) == 6 && strings.HasPrefix(parts[5], "role/") {
				name := parts[5][strings.LastIndexByte(parts[5], '/')+1:]
				list = append(list, fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/i-0123456789abcdef0", parts[1], parts[4], name))
			}
		}
	}
	return list
}

// compare returns the first disagreement between the authenticator and Resolve.
func compare(a *authenticator, data map[string]string) string {
	a.load(data)
	m := (&awsauth.Object{Data: data}).Load()
	for _, caller := range callers(data) {
		got, want := m.Resolve(caller), a.resolve(caller)
		if got.CanonicalARN != want.Canonical || got.Mapped != want.Mapped {
			return fmt.Sprintf("%q: canonical %q mapped %t, the authenticator: %+v", caller, got.CanonicalARN, got.Mapped, want)
		}
		fits := func(username string, groups []string) bool {
			return username == want.Username && slices.Equal(groups, want.Groups)
		}
		switch {
		case !got.Mapped || len(got.Matches) == 0 && fits(got.Username, got.Groups):
		case slices.ContainsFunc(got.Matches, func(e *awsauth.Entry) bool { return fits(e.Username, e.Groups) }):
		default:
			return fmt.Sprintf("%q: %+v, the authenticator: %+v", caller, got, want)
		}
	}
	return ""
}

func TestResolveEqualsAuthenticator(t *testing.T) {
	a := newAuthenticator(t)
	all := seeds(t)
	for _, data := range all {
		if diff := compare(a, data); diff != "" {
			t.Errorf("%.2000q\n%s", data, diff)
		}
	}
	n := 20_000
	if s := os.Getenv("ORACLE_COUNT"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		data := mutate(random, all)
		if diff := compare(a, data); diff != "" {
			t.Fatalf("%.2000q\n%s", data, diff)
		}
	}
}

// fragments are put into texts at random places.
var fragments = []string{
	"\t", " ", "\n", "- ", "---\n", "...\n", "\"", "'", "{", "}", "[", "]", "#", ":", ": ", "&a ", "*a", "<<: *a\n", "!!str ", "!!binary ",
	"\u00a0", "\u200b", "\ufeff", "\r\n", "|\n", ">-\n", "y", "yes", "~", "null", "0123", "1e3", "arn:aws:iam::111122223333:role/Admin",
	"  groups: [system:masters]\n", "  username: {{SessionName}}\n", "{{EC2PrivateDNSName}}", "\\x41", "\\u00e9", "K", "ſ", "%", "@", "`", "-", "?", ",", "\x00", "\xff",
}

func mutate(random *rand.Rand, all []map[string]string) map[string]string {
	data := maps.Clone(all[random.IntN(len(all))])
	for _, key := range []string{"mapRoles", "mapUsers", "mapAccounts"} {
		text, ok := data[key]
		if !ok {
			continue
		}
		if random.IntN(4) == 0 { // two texts, one behind the other
			text += all[random.IntN(len(all))][key]
		}
		b := []byte(text)
		for range random.IntN(4) {
			at := random.IntN(len(b) + 1)
			switch random.IntN(4) {
			case 0:
				b = slices.Insert(b, at, []byte(fragments[random.IntN(len(fragments))])...)
			case 1:
				b = slices.Delete(b, at, min(len(b), at+1+random.IntN(3)))
			case 2:
				if at < len(b) {
					b[at] ^= 0x20
				}
			case 3: // a line again
				start := strings.LastIndexByte(string(b[:at]), '\n') + 1
				b = slices.Insert(b, start, b[start:at]...)
			}
		}
		data[key] = strings.ToValidUTF8(string(b), "\ufffd")
	}
	return data
}
