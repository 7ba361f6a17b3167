package admission

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Limits, in bytes of UTF-8, which are never fewer than characters.
const (
	maxMessage = 4096 // status.message: clients print it whole, and logs and audit events repeat it
	maxCauses  = 100  // status.details.causes: what a person can still scroll through
	// The API server cuts all warnings of a response when they have more than 4,096 characters
	// together (apiserver, pkg/endpoints/filters/warning.go, truncateAtTotalRunes).
	maxWarnings     = 30
	maxWarningsSize = 4000
	// One warning: 256 is where the API server cuts each when all are too long; a longer sentence
	// than 120 is kept whole while there are few, because half a sentence says nothing.
	maxWarning = 256
	minWarning = 120 // 30 of them stay below the limit for all
	maxLogged  = 256

	// One line of a denial. The longest ARN of a role that IAM allows has 604 characters (path 512,
	// name 64), so that a hint that holds one stays whole.
	maxDenialText = 1000
	maxHint       = 1000
	maxPath       = 300 // a key of a ConfigMap has at most 253
	maxWarnedPath = 60
	minValue      = 24 // a value that is cut shorter cannot be recognized any more
)

// causes gives one cause a denial. The last of too many counts the rest.
func causes(denials []validate.Finding) []metav1.StatusCause {
	shown := denials
	if len(denials) > maxCauses {
		shown = denials[:maxCauses-1]
	}
	list := make([]metav1.StatusCause, 0, len(shown)+1)
	for _, f := range shown {
		list = append(list, metav1.StatusCause{
			Type:    metav1.CauseTypeFieldValueInvalid,
			Field:   field(f, maxPath),
			Message: explain(f),
		})
	}
	if rest := len(denials) - len(shown); rest > 0 {
		list = append(list, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "data", Message: andMore(rest)})
	}
	return list
}

// message gives the denials as one text of limited size, which counts those that found no room.
func message(denials []validate.Finding) string {
	line := func(f validate.Finding) string {
		return textutil.Shorten(field(f, maxPath)+": "+explain(f), maxMessage/2)
	}
	if len(denials) == 1 {
		return line(denials[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d reasons:", len(denials))
	for i, f := range denials {
		next, rest := "\n* "+line(f), ""
		if i+1 < len(denials) {
			rest = "\n" + andMore(len(denials)-i-1)
		}
		if b.Len()+len(next)+len(rest) > maxMessage {
			b.WriteString("\n" + andMore(len(denials)-i)) // fits: room was kept for it
			break
		}
		b.WriteString(next)
	}
	return b.String()
}

// warnings gives one line an override and a finding, break-glass first. The last of too many
// counts the rest.
func warnings(overrides []validate.Override, findings []validate.Finding) []string {
	overrides = slices.Clone(overrides)
	slices.SortStableFunc(overrides, func(a, b validate.Override) int {
		return cmp.Compare(slices.Index(warnedFirst, b.Kind), slices.Index(warnedFirst, a.Kind))
	})
	var list []string
	size, total := 0, len(overrides)+len(findings)
	room := min(max(maxWarningsSize/max(total, 1), minWarning), maxWarning)
	for i := range total {
		line := func() string {
			if i < len(overrides) {
				return overruled(overrides[i], room)
			}
			return warning(findings[i-len(overrides)], room)
		}()
		need, rest := len(line), total-i-1
		if rest > 0 {
			need += len(andMore(rest))
		}
		if size+need > maxWarningsSize || rest > 0 && i == maxWarnings-1 {
			return append(list, andMore(rest+1)) // fits: room was kept for it
		}
		list = append(list, line)
		size += len(line)
	}
	return list
}

// warnedFirst are the kinds of overrides that must not get lost among many.
var warnedFirst = []string{validate.BreakGlass}

// overruled is an override as one line of at most room bytes.
func overruled(o validate.Override, room int) string {
	head := clean(o.Kind, minValue) + " overrules the guard: "
	switch o.Kind {
	case validate.BreakGlass:
		head = "break-glass overrules every denial of this request: "
	case validate.AllowRemoval:
		head = "allow-removal overrules the guard, and this node role goes: "
	}
	return head + clean(o.Detail, room-len(head))
}

func andMore(n int) string {
	if n == 1 {
		return "1 more finding is not shown"
	}
	return strconv.Itoa(n) + " more findings are not shown"
}

// explain is a finding as one line without its field.
func explain(f validate.Finding) string {
	text := sentence(f, maxDenialText) + " [" + f.Rule + "]"
	if f.Line > 0 {
		text = "line " + strconv.Itoa(f.Line) + " of " + dataKey(f) + ": " + text
	}
	if f.Hint != "" {
		text += "; " + clean(f.Hint, maxHint)
	}
	return text
}

// warning is a finding as one line of at most size bytes. Where there is no room for everything, long values in
// the sentence go first and then the hint, which is of no use in part.
func warning(f validate.Finding, size int) string {
	head, tail := field(f, maxWarnedPath)+": ", " ["+f.Rule+"]"
	if f.Exempt != "" {
		head = clean(f.Exempt, maxWarnedPath) + ": would be refused: " + head
	}
	text, hint := sentence(f, maxDenialText), ""
	if f.Hint != "" {
		hint = "; " + clean(f.Hint, maxHint)
	}
	for _, tail := range []string{tail + hint, tail} {
		room := size - len(head) - len(tail)
		for limit := size; limit >= minValue; limit -= 12 {
			if short := shortenValues(text, limit); len(short) <= room {
				return head + short + tail
			}
		}
	}
	return head + textutil.Shorten(text, max(size-len(head)-len(tail), minValue)) + tail
}

// sentence is what a finding says; a finding without words is still a finding.
func sentence(f validate.Finding, limit int) string {
	if f.Message == "" {
		return "no reason was given"
	}
	return clean(f.Message, limit)
}

// field is the path of a finding, or data where it has none.
func field(f validate.Finding, limit int) string {
	if f.Path == "" {
		return "data"
	}
	return clean(f.Path, limit)
}

// dataKey is the key of the ConfigMap in which a finding's line is counted: mapRoles for data.mapRoles[0].rolearn.
func dataKey(f validate.Finding) string {
	path := field(f, maxPath)
	for _, prefix := range []string{"data.", "binaryData."} {
		path = strings.TrimPrefix(path, prefix)
	}
	key, _, _ := strings.Cut(path, "[")
	return key
}

// clean makes a text printable and at most limit bytes long. It is shortened before as well,
// because escapes only make it longer, and a text may be a megabyte.
func clean(text string, limit int) string {
	return textutil.Shorten(textutil.Printable(textutil.Shorten(text, limit)), limit)
}

// values finds quoted values and other long runs of characters without a space.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

// shortenValues shortens every value in a sentence to the limit.
func shortenValues(text string, limit int) string {
	return values.ReplaceAllStringFunc(text, func(v string) string { return textutil.Shorten(v, limit) })
}
