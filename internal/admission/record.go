package admission

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// maxListed limits the length of each list in a log line: principals, groups of a principal, overrides.
const maxListed = 20

// record counts and logs a review. Of the content of aws-auth it logs only the overrides, and the principals that gain
// or lose groups or access. Of another object it logs only the resource, the namespace, the name and the subresource.
// record doesn't count a self-test.
func (h *Handler) record(ctx context.Context, req *request, o *outcome) {
	level, took := slog.LevelInfo, h.now().Sub(req.time)
	if req.selfTest {
		level = slog.LevelDebug
	} else {
		h.count(req, o, took)
	}
	for _, f := range o.failures {
		h.log.LogAttrs(ctx, slog.LevelError, "a rule panicked",
			slog.String("uid", string(req.UID)),
			slog.String("rule", f.Rule),
			slog.String("panic", textutil.Shorten(fmt.Sprint(f.Panic), maxLogged)),
			slog.String("stack", string(f.Stack)),
		)
	}
	attrs := []slog.Attr{
		slog.String("uid", string(req.UID)),
		slog.String("operation", textutil.Shorten(string(req.Operation), maxLogged)),
		slog.String("requester", textutil.Shorten(req.UserInfo.Username, maxLogged)),
		slog.Bool("dry_run", req.dryRun),
		slog.String("verdict", o.verdict),
		slog.Any("rules", append([]string{}, o.rules...)),
		slog.Float64("duration_seconds", took.Seconds()),
	}
	if req.selfTest {
		attrs = append(attrs, slog.Bool("self_test", true))
	}
	if req.observed {
		attrs = append(attrs, slog.Bool("observed", true))
	}
	if len(o.wouldDeny) > 0 {
		attrs = append(attrs, slog.Any("would_deny", o.wouldDeny))
	}
	if len(o.overrides) > 0 {
		attrs = append(attrs, slog.Any("overrides", overrideList(o.overrides)))
	}
	attrs = append(attrs, accessAttrs(o.access)...)
	if o.verdict == outcomeSkipped {
		attrs = append(attrs, slog.String("object", textutil.Shorten(req.String(), maxLogged)))
	}
	if len(o.overrides) > 0 || len(o.failures) > 0 {
		level = slog.LevelWarn
	}
	if o.err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("err", textutil.Shorten(o.err.Error(), maxLogged)))
	}
	if o.stack != nil {
		attrs = append(attrs, slog.String("stack", string(o.stack)))
	}
	h.log.LogAttrs(ctx, level, "review", attrs...)
}

func (h *Handler) count(req *request, o *outcome, took time.Duration) {
	operation, dryRun := string(req.Operation), req.dryRun
	h.recorder.Reviewed(operation, o.verdict, dryRun, took)
	for _, rule := range o.denied {
		h.recorder.Rejected(rule, operation, dryRun)
	}
	for _, rule := range o.wouldDeny {
		h.recorder.WouldDeny(rule, dryRun)
	}
	for _, kind := range overrideKinds(o.overrides) {
		h.recorder.Overridden(kind, dryRun)
	}
	for _, f := range o.failures {
		h.recorder.Panicked(f.Rule)
	}
	if slices.Contains(o.rules, validate.AccessEntriesUnknown) {
		h.recorder.WithoutAccessEntries()
	}
}

// accessLine describes one principal in a log line, with the groups that it gains or loses.
type accessLine struct {
	Principal string   `json:"principal"`
	Groups    []string `json:"groups"`
}

// String formats the line for the text log.
func (a accessLine) String() string { return a.Principal + "[" + strings.Join(a.Groups, " ") + "]" }

// accessList is a list of at most maxListed principals. more is the number of principals beyond maxListed.
type accessList struct {
	lines []accessLine
	more  int
}

func (l *accessList) add(arn string, groups []string) {
	if len(l.lines) == maxListed {
		l.more++
		return
	}
	line := accessLine{Principal: textutil.Shorten(arn, maxLogged), Groups: []string{}}
	for i, group := range groups {
		if i == maxListed {
			line.Groups = append(line.Groups, fmt.Sprintf("%d more", len(groups)-maxListed))
			break
		}
		line.Groups = append(line.Groups, textutil.Shorten(group, maxLogged))
	}
	l.lines = append(l.lines, line)
}

func (l *accessList) attrs(key string) (attrs []slog.Attr) {
	if len(l.lines) > 0 {
		attrs = append(attrs, slog.Any(key, l.lines))
	}
	if l.more > 0 {
		attrs = append(attrs, slog.Int(key+"_more", l.more))
	}
	return attrs
}

// accessAttrs returns the log attributes gains and losses. They list the principals that gain or lose groups, and
// the principals that gain or lose access as a whole.
func accessAttrs(changes []awsauth.AccessChange) []slog.Attr {
	var gains, losses accessList
	for _, c := range changes {
		if c.New && !c.ByAccount || len(c.Gained) > 0 {
			gains.add(c.ARN, c.Gained)
		}
		if c.Gone && !c.ByAccount || c.InstancesOnly || len(c.Lost) > 0 {
			losses.add(c.ARN, c.Lost)
		}
	}
	return append(gains.attrs("gains"), losses.attrs("losses")...)
}

// overrideKinds returns each kind of override in the list once.
func overrideKinds(overrides []validate.Override) (kinds []string) {
	for _, kind := range validate.OverrideKinds() {
		for _, o := range overrides {
			if o.Kind == kind {
				kinds = append(kinds, kind)
				break
			}
		}
	}
	return kinds
}

// overrideList formats overrides for logs and audit events. It lists at most maxListed overrides and counts the
// rest.
func overrideList(overrides []validate.Override) (list []string) {
	for i, o := range overrides {
		if i == maxListed {
			return append(list, fmt.Sprintf("%d more", len(overrides)-maxListed))
		}
		list = append(list, o.Kind+": "+clean(o.Detail, maxLogged))
	}
	return list
}
