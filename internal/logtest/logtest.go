// Package logtest provides a log that a test can read.
package logtest

import (
	"strings"
	"sync"
)

// Log is a writer that keeps all text. It is safe for concurrent use: a test reads it while the code under test writes. The
// zero Log is empty.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (l *Log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// String returns everything that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
