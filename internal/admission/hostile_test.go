package admission_test

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

// hostile returns texts that cost a parser as much as possible. Each has at most 1 MiB, which is the API server's limit for the
// data of a ConfigMap.
func hostile() map[string]string {
	const mib = 1 << 20
	bomb := "- &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 40; i++ {
		bomb += fmt.Sprintf("- &a%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	groups := "- &g [" + strings.Repeat("a, ", 20000) + "a]\n"
	nested := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.Repeat(" ", i) + "-\n")
			if b.Len() > mib {
				break
			}
		}
		return b.String()
	}
	fill := func(text string) string { return strings.Repeat(text, mib/len(text)) }
	return map[string]string{
		"an alias bomb":                  bomb,
		"an alias bomb of groups":        groups + fill("- {rolearn: a, groups: *g}\n")[27*(len(groups)/27+1):],
		"a merge bomb":                   strings.ReplaceAll(bomb, "- &a0 [x, x, x, x, x, x, x, x, x]", "- &a0 {x: y}"),
		"a thousand levels, indented":    nested(1000),
		"10,000 levels of lists":         strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
		"10,000 levels of mappings":      strings.Repeat("{a: ", 10000) + strings.Repeat("}", 10000),
		"10,000 levels of JSON":          strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000),
		"a mebibyte of brackets":         fill("["),
		"a mebibyte of one line":         fill("a"),
		"a mebibyte of one ARN":          "- rolearn: arn:aws:iam::111122223333:role/" + fill("a")[100:],
		"a mebibyte of one key":          "- " + fill("a")[100:] + ": b",
		"a mebibyte of blank lines":      fill("\n"),
		"a mebibyte of escapes":          `- "` + fill(`\x41`)[100:] + `"`,
		"a mebibyte of groups":           "- rolearn: a\n  groups:\n" + fill("  - a\n")[100:],
		"a mebibyte of one entry, again": fill(admin),
		"invalid UTF-8":                  fill("\xff\xfe"),
		"NULs":                           fill("\x00"),
		"an entry with a NUL":            admin + "\x00" + node,
		"control characters":             fill("\x01\x1b[31m"),
		"a byte order mark in UTF-16":    "\xff\xfe-\x00 \x00a\x00",
		"templates":                      fill("{{SessionName}}"),
	}
}

// allocated returns the number of bytes that f allocates. No other goroutine may run at the same time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileTextIsEvaluatedWithinMemoryLimit sends every text as the new object, and as both objects. The guard refuses each text as the new
// object. It answers each review with a limited amount of memory, which also limits the time. The test can't run in parallel with other
// tests, because their memory would count too.
func TestHostileTextIsEvaluatedWithinMemoryLimit(t *testing.T) {
	// An alias bomb in both objects takes the most memory, 175 MiB. Thousands of small elements take more, but they are
	// only a large document and not an attack on the parser.
	bound := uint64(350 << 20)
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		bound *= 10 // the race detector drops items from each sync.Pool
	}
	h := admission.New(admission.Options{})
	texts := hostile()
	good := configMap(admin + node)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		if len(text) > 1<<20+100 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		bad, other := configMap(text), configMap(text+"\n", set("immutable", true))
		for how, r := range map[string]*admissionv1.AdmissionRequest{
			"new": request("UPDATE", good, bad), "both": request("UPDATE", bad, other),
		} {
			var answer *admissionv1.AdmissionResponse
			if bytes := allocated(func() { answer = h.Review(t.Context(), r) }); bytes > bound {
				t.Errorf("%s, %s: allocates %d MiB", name, how, bytes>>20)
			}
			if answer.Result != nil && (len(answer.Result.Message) > 4096 || strings.Contains(answer.Result.Message, "the guard failed")) {
				t.Errorf("%s, %s: %s", name, how, answer.Result.Message)
			}
			if how == "new" && answer.Allowed {
				t.Errorf("%s: allowed with %q", name, answer.Warnings)
			}
		}
	}
}
