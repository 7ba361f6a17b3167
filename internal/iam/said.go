package iam

import (
	"maps"
	"sync"
	"time"
)

const (
	sayAgain = 5 * time.Minute
	// maxSaid bounds each of the two sets. There are no more problems than reasons in the accounts that
	// can be asked, but accounts come from aws-auth, and those beyond the bound are not said.
	maxSaid = 256
)

// said is what was logged, so that it is not logged again and again.
type said struct {
	now func() time.Time

	mu       sync.Mutex
	problems map[string]time.Time // when each was logged last
	accounts map[string]bool      // those that cannot be asked in
}

// problem reports whether one is to be logged: at most every five minutes.
func (s *said) problem(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	last, ok := s.problems[name]
	if ok && now.Sub(last) < sayAgain {
		return false
	}
	if len(s.problems) >= maxSaid {
		maps.DeleteFunc(s.problems, func(_ string, last time.Time) bool { return now.Sub(last) >= sayAgain })
		if len(s.problems) >= maxSaid {
			return false
		}
	}
	if s.problems == nil {
		s.problems = make(map[string]time.Time)
	}
	s.problems[name] = now
	return true
}

// account reports whether it is to be logged that an account cannot be asked in: once.
func (s *said) account(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[id] || len(s.accounts) >= maxSaid {
		return false
	}
	if s.accounts == nil {
		s.accounts = make(map[string]bool)
	}
	s.accounts[id] = true
	return true
}
