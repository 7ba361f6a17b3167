package iam

import (
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	existsFor  = 10 * time.Minute
	missingFor = 5 * time.Second
	// absentFor is how long it is remembered that IAM did not find a principal, for reviews whose
	// budget is too short for two looks.
	absentFor = time.Minute
	// maxMemory bounds the memory, whatever ARNs are asked for: an entry has about 300 bytes, an ARN
	// with a long path at most 700, so that it stays below 3 MiB.
	maxMemory = 4096
)

// memory holds answers for a while.
type memory struct {
	now     func() time.Time
	size    int // the most entries
	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	answer validate.Lookup // Exists or Missing until then
	until  time.Time
	// Of the looks that did not find it: when the first had its answer, and when the last began and had its.
	firstAnswered, lastBegan, lastAnswered time.Time
}

// answer returns what is known for sure.
func (m *memory) answer(key string) (validate.Lookup, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	return e.answer, ok && m.now().Before(e.until)
}

// absent returns, of the recent looks that did not find it, when the first had its answer and the last began.
func (m *memory) absent(key string) (firstAnswered, lastBegan time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if m.now().Sub(e.lastAnswered) > absentFor {
		return time.Time{}, time.Time{}
	}
	return e.firstAnswered, e.lastBegan
}

// keep stores an answer.
func (m *memory) keep(key string, answer validate.Lookup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := entry{answer: answer, until: m.now().Add(existsFor)}
	if answer.Existence == validate.Missing {
		old := m.entries[key]
		e.until, e.lastBegan, e.lastAnswered = m.now().Add(missingFor), old.lastBegan, old.lastAnswered
		e.firstAnswered = e.lastAnswered // what is made after this is found missing anew
	}
	m.store(key, e)
}

// keepAbsent stores that a look did not find it.
func (m *memory) keepAbsent(key string, began, answered time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := entry{firstAnswered: answered, lastBegan: began, lastAnswered: answered}
	if old := m.entries[key]; answered.Sub(old.firstAnswered) <= absentFor {
		e.firstAnswered = old.firstAnswered
	}
	m.store(key, e)
}

// forget empties the memory.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
}

func (m *memory) store(key string, e entry) {
	if m.entries == nil {
		m.entries = make(map[string]entry)
	}
	if _, ok := m.entries[key]; !ok && len(m.entries) >= m.size {
		m.makeRoom()
	}
	m.entries[key] = e
}

// makeRoom drops what is of no use any more, and if nothing is, some other entry: it costs a call.
func (m *memory) makeRoom() {
	now := m.now()
	some := ""
	for key, e := range m.entries {
		some = key
		if now.After(e.until) && now.Sub(e.lastAnswered) > absentFor {
			delete(m.entries, key)
		}
	}
	if len(m.entries) >= m.size {
		delete(m.entries, some)
	}
}
