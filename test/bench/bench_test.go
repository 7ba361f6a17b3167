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

// TestCases makes the cases, which fails if a document doesn't have the number of entries of its case. It checks that the
// largest document leaves no room for another entry in a ConfigMap.
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
