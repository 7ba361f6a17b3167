package main

import (
	"fmt"
	"testing"
)

func BenchmarkReview(b *testing.B) { benchmarkCases(b, (*reviewCase).review) }

func BenchmarkReviewAskingIAM(b *testing.B) { benchmarkCases(b, (*reviewCase).reviewAsking) }

func BenchmarkParseMap(b *testing.B) { benchmarkCases(b, (*reviewCase).parseMap) }

func benchmarkCases(b *testing.B, do func(*reviewCase, int) error) {
	b.Helper()
	for _, c := range cases(b) {
		b.Run(fmt.Sprintf("%s-%d", c.name, c.entries), func(b *testing.B) {
			b.ReportAllocs()
			for call := 0; b.Loop(); call++ {
				if err := do(c, call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The largest document fills a ConfigMap to within an entry, and every document is what its name says.
func TestCases(t *testing.T) {
	all := cases(t)
	largest := all[len(all)-1]
	if room := configMapLimit - largest.bytes; room < 0 || room > 300 {
		t.Errorf("the largest document leaves %d bytes of %d, want less than an entry", room, configMapLimit)
	}
}

func cases(tb testing.TB) []*reviewCase {
	tb.Helper()
	cases, err := newCases()
	if err != nil {
		tb.Fatal(err)
	}
	return cases
}
