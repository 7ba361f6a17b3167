package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

// measureLargest measures the peak memory of reviews of the largest possible objects. It measures one review, and then
// admission.DefaultConcurrency reviews that it sends at once. All of them come from one source address, so the webhook gives them
// at most half of its evaluation slots for large bodies. Each measurement has a new process.
func (s *soak) measureLargest(ctx context.Context) error {
	for _, d := range s.largestDocuments() {
		for _, n := range []int{1, admission.DefaultConcurrency()} {
			if err := s.atOnce(ctx, d, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// document is an edit that adds an entry. The new object has 1 MiB.
type document struct {
	name          string
	before, after *object
	want          answer
}

// mebibyte is the maximum total size of the values of a ConfigMap (kubernetes v1.36.3, pkg/apis/core/validation,
// MaxSecretSize). The metadata doesn't count.
const mebibyte = 1 << 20

func (s *soak) largestDocuments() []document {
	entries := adminEntry + nodeEntry + teams(8000)
	entries = entries[:strings.LastIndex(entries[:mebibyte-len(ciEntry)], "- groups:")]
	documents := []document{{"entries", awsAuth(entries, ""), awsAuth(entries+ciEntry, ""), allow}}
	if s.denseDocuments {
		dense := adminEntry + nodeEntry + ciEntry
		dense = strings.Repeat("- a\n", (mebibyte-len(dense))/len("- a\n")) + dense
		documents = append(documents, document{
			"260,000 values", awsAuth(strings.TrimSuffix(dense, ciEntry), ""), awsAuth(dense, ""), warned("yaml-syntax"),
		})
	}
	return documents
}

// atOnce measures the peak memory of a new webhook for n concurrent reviews of a document.
func (s *soak) atOnce(ctx context.Context, d document, n int) (err error) {
	w, end, err := s.start(ctx, configA)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	before, err := readMemory(w.PID())
	if err != nil {
		return err
	}
	l := s.newLoad(w, []scheduled{{review: &reviewCase{name: d.name, body: newBody(operator, d.before, d.after), want: d.want}}})
	l.setConfig(usesA)
	l.sendAtOnce(ctx, n)
	after, err := readMemory(w.PID())
	if err != nil {
		return err
	}
	s.row(fmt.Sprintf("peak, %d at once of 1 MiB, %s", n, d.name), "%s; %s before; slowest %s", mib(after.peak), mib(before.peak), l.percentile(1).Round(time.Millisecond))
	s.addFailures(l)
	return nil
}
