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
	// When the first and the last of the looks began that did not find it.
	firstAbsent, lastAbsent time.Time
}

// answer returns what is known for sure.
func (m *memory) answer(key string) (validate.Lookup, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	return e.answer, ok && m.now().Before(e.until)
}

// absent returns when the first and the last of the recent looks began that did not find it.
func (m *memory) absent(key string) (first, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if m.now().Sub(e.lastAbsent) > absentFor {
		return time.Time{}, time.Time{}
	}
	return e.firstAbsent, e.lastAbsent
}

// keep stores an answer.
func (m *memory) keep(key string, answer validate.Lookup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := entry{answer: answer, until: m.now().Add(existsFor)}
	if answer.Existence == validate.Missing {
		old := m.entries[key]
		e.until, e.lastAbsent = m.now().Add(missingFor), old.lastAbsent
		e.firstAbsent = e.lastAbsent // what is made after this is found missing anew
	}
	m.store(key, e)
}

// keepAbsent stores that a look which began at that time did not find it.
func (m *memory) keepAbsent(key string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := entry{firstAbsent: at, lastAbsent: at}
	if old := m.entries[key]; at.Sub(old.firstAbsent) <= absentFor {
		e.firstAbsent = old.firstAbsent
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
		if now.After(e.until) && now.Sub(e.lastAbsent) > absentFor {
			delete(m.entries, key)
		}
	}
	if len(m.entries) >= m.size {
		delete(m.entries, some)
	}
}
