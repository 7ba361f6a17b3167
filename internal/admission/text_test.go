package admission_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func finding(path string, line int, message, hint string) validate.Finding {
	return validate.Finding{
		Rule: "role-path", Severity: validate.Deny, Position: awsauth.Position{Path: path, Line: line},
		Message: message, Hint: hint,
	}
}

func findings(n int, message string) []validate.Finding {
	list := make([]validate.Finding, n)
	for i := range list {
		list[i] = finding(fmt.Sprintf("data.mapRoles[%d].rolearn", i), 3*i+1, message, "write it otherwise")
	}
	return list
}

func TestCauses(t *testing.T) {
	t.Parallel()
	list := []validate.Finding{
		finding("data.mapRoles[1].rolearn", 8, `"arn:aws:iam::111122223333:role/x/a" has a path`, "write arn:aws:iam::111122223333:role/a"),
		finding("data", 0, "everybody goes", ""),
		finding("", 0, "", ""),
		finding("data.mapRoles", 2, "two\nlines\tand\x00more\xff", "no\r\nescape"),
	}
	got := admission.Causes(list)
	cause := func(field, message string) metav1.StatusCause {
		return metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: field, Message: message}
	}
	want := []metav1.StatusCause{
		cause("data.mapRoles[1].rolearn", `line 8 of mapRoles: "arn:aws:iam::111122223333:role/x/a" has a path [role-path]; write arn:aws:iam::111122223333:role/a`),
		cause("data", "everybody goes [role-path]"),
		cause("data", "no reason was given [role-path]"),
		cause("data.mapRoles", `line 2 of mapRoles: two\nlines\tand\x00more\xff [role-path]; no\r\nescape`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

func TestCausesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		findings, causes int
		last             string
	}{
		{1, 1, "line 1 of mapRoles: x [role-path]; write it otherwise"},
		{99, 99, "line 295 of mapRoles: x [role-path]; write it otherwise"},
		{100, 100, "line 298 of mapRoles: x [role-path]; write it otherwise"},
		{101, 100, "2 more findings are not shown"},
		{5000, 100, "4901 more findings are not shown"},
	} {
		got := admission.Causes(findings(tt.findings, "x"))
		if len(got) != tt.causes {
			t.Errorf("%d findings: got %d causes, want %d", tt.findings, len(got), tt.causes)
		}
		if last := got[len(got)-1].Message; last != tt.last {
			t.Errorf("%d findings: the last cause is %q, want %q", tt.findings, last, tt.last)
		}
	}
	long := admission.Causes([]validate.Finding{finding(strings.Repeat("p", 1<<20), 1, strings.Repeat("é", 1<<20), strings.Repeat("h", 1<<20))})[0]
	if n := len(long.Field) + len(long.Message); n > 2800 || !utf8.ValidString(long.Message) {
		t.Errorf("a cause of a finding of 4 MiB has %d bytes, valid UTF-8: %t", n, utf8.ValidString(long.Message))
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		findings int
		want     string
	}{
		{1, "data.mapRoles[0].rolearn: line 1 of mapRoles: x [role-path]; write it otherwise"},
		{2, "2 reasons:\n* data.mapRoles[0].rolearn: line 1 of mapRoles: x [role-path]; write it otherwise\n* data.mapRoles[1].rolearn: line 4 of mapRoles: x [role-path]; write it otherwise"},
	} {
		if diff := cmp.Diff(tt.want, admission.Message(findings(tt.findings, "x"))); diff != "" {
			t.Errorf("%d findings (-want +got):\n%s", tt.findings, diff)
		}
	}
}

// For every number and size of findings, the message has at most 4 KiB. It shows at least one finding. If it doesn't show all
// findings, its last line has the number of the others.
func TestMessageIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 100, 997, 1000, 1500, 5000, 1 << 20} {
		for _, n := range []int{1, 2, 3, 4, 9, 10, 11, 40, 52, 53, 54, 55, 56, 57, 100, 101, 1000} {
			got := admission.Message(findings(n, strings.Repeat("€", size)))
			if len(got) > 4096 {
				t.Errorf("%d findings of %d characters: the message has %d bytes", n, size, len(got))
			}
			if !utf8.ValidString(got) {
				t.Errorf("%d findings of %d characters: the message is no UTF-8", n, size)
			}
			if n == 1 {
				continue
			}
			var head, more int
			shown := strings.Count(got, "\n* ")
			if _, err := fmt.Sscanf(got, "%d reasons:", &head); err != nil || head != n {
				t.Errorf("%d findings: the message begins with %.20q", n, got)
			}
			if last := got[strings.LastIndexByte(got, '\n')+1:]; !strings.HasPrefix(last, "* ") {
				if _, err := fmt.Sscanf(last, "%d more", &more); err != nil {
					t.Errorf("%d findings: the message ends with %q", n, last)
				}
			}
			if shown == 0 || shown+more != n {
				t.Errorf("%d findings of %d characters: %d are shown and %d counted", n, size, shown, more)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef"
	for _, tt := range []struct {
		name    string
		finding validate.Finding
		want    string
	}{
		{"short", finding("data.mapRoles[0].rolearn", 3, `"x" has a path`, "write y"), `data.mapRoles[0].rolearn: "x" has a path [role-path]; write y`},
		{
			"a sentence and its hint", finding("data.mapRoles[0].rolearn", 3, `"`+arn+`" has a path`, "write y"),
			`data.mapRoles[0].rolearn: "` + arn + `" has a path [role-path]; write y`,
		},
		{
			"a long value gives way to the hint", finding("data.mapRoles[0].rolearn", 3, `"`+arn+`" has a path`, "write "+arn),
			`data.mapRoles[0].rolearn: "arn:aws:iam::111122223333:role/aws-reserve…t-1/AWSReservedSSO_Admin_0123456789abcdef" has a path [role-path]; write ` + arn,
		},
		{
			"a long hint is left out completely", finding("data.mapRoles[0].rolearn", 3, `"`+arn+`" has a path`, "write "+arn+arn),
			`data.mapRoles[0].rolearn: "` + arn + `" has a path [role-path]`,
		},
		{
			"a sentence of many words is cut", finding("data", 0, strings.Repeat("word ", 60)+"end", ""),
			"data: " + strings.Repeat("word ", 23) + "wor…ord" + strings.Repeat(" word", 22) + " end [role-path]",
		},
		{
			"nothing that cannot be seen", finding("data.mapUsers", 1, "tab\tnewline\nbidi\u202enul\x00nbsp\u00a0bad\xff", ""),
			`data.mapUsers: tab\tnewline\nbidi\u202enul\x00nbsp\u00a0bad\xff [role-path]`,
		},
	} {
		got := admission.Warnings([]validate.Finding{tt.finding})
		if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	// With many warnings, each warning gets less room.
	many := slices.Repeat([]validate.Finding{finding("data.mapRoles[0].rolearn", 3, `"`+arn+`" has a path`, "write y")}, 30)
	want := `data.mapRoles[0].rolearn: "arn:aws:iam::111122223333:role/aws…ReservedSSO_Admin_0123456789abcdef" has a path [role-path]; write y`
	if got := admission.Warnings(many); len(got) != 30 || got[0] != want {
		t.Errorf("%d of many: %s", len(got), got[0])
	}
}

func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	if got := admission.Warnings(nil); got != nil {
		t.Errorf("no findings: got %q", got)
	}
	for _, tt := range []struct {
		findings, warnings int
		last               string
	}{
		{29, 29, "data.mapRoles[28].rolearn: x [role-path]; write it otherwise"},
		{30, 30, "data.mapRoles[29].rolearn: x [role-path]; write it otherwise"},
		{31, 30, "2 more findings are not shown"},
		{1000, 30, "971 more findings are not shown"},
	} {
		got := admission.Warnings(findings(tt.findings, "x"))
		if len(got) != tt.warnings || got[len(got)-1] != tt.last {
			t.Errorf("%d findings: got %d warnings, the last is %q; want %d and %q", tt.findings, len(got), got[len(got)-1], tt.warnings, tt.last)
		}
	}
	for _, text := range []string{"x", strings.Repeat("w ", 500), strings.Repeat("€", 500), strings.Repeat("\x01", 500), `"` + strings.Repeat(`\"`, 500)} {
		total := 0
		for _, w := range admission.Warnings(findings(1000, text)) {
			total += utf8.RuneCountInString(w)
			if n := utf8.RuneCountInString(w); n > 120 {
				t.Errorf("a warning has %d characters: %s", n, w)
			}
			if !utf8.ValidString(w) || strings.ContainsFunc(w, unicode.IsControl) {
				t.Errorf("the API server would drop %q", w)
			}
		}
		if total > 4000 {
			t.Errorf("%.10q: the warnings have %d characters", text, total)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("data.mapRoles[0]", `"a\"b" is "wrong" and lönger`, "write …", 40)
	f.Add("", "\x00\xff\u202e\n", "", 24)
	f.Fuzz(func(t *testing.T, path, message, hint string, limit int) {
		limit = 24 + max(limit, -limit)%1000
		if got := textutil.Shorten(textutil.Printable(message), limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("shortened to %d bytes of %d: %q", len(got), limit, got)
		}
		f := finding(path, 1, message, hint)
		for _, w := range admission.Warnings([]validate.Finding{f}) {
			if len(w) > 256 || strings.ContainsFunc(w, unicode.IsControl) || !utf8.ValidString(w) {
				t.Errorf("warning %q", w)
			}
		}
		for _, c := range admission.Causes([]validate.Finding{f}) {
			if strings.ContainsFunc(c.Field+c.Message, unicode.IsControl) || c.Field == "" {
				t.Errorf("cause %+v", c)
			}
		}
	})
}
