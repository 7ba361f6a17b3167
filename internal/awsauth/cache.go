package awsauth

import (
	"slices"
	"sync"
)

// maxCached limits the number of sections in a Cache, and maxCachedBytes the bytes of all their texts together. A change
// has at most three new sections, so eight sections cover the last two changes. A decoded section takes about ten times
// the memory of its text.
const (
	maxCached      = 8
	maxCachedBytes = 2 << 20
)

// Cache holds decoded sections by their name and text. The old version of a change is usually the new version of an
// earlier change, so its sections are decoded already. The zero Cache is empty and ready to use. Its methods may be
// called concurrently. A nil Cache stores nothing.
type Cache struct {
	mu       sync.Mutex
	sections []cached // in the order of their last use
	bytes    int      // the total length of the sections' texts
}

type cached struct {
	name Section
	section
}

// load returns the result of [loadSection] for a text. It takes the result from the cache, or else computes and caches
// it.
func (c *Cache) load(s Section, text string) section {
	if c == nil {
		return loadSection(s, text)
	}
	if loaded, ok := c.find(s, text); ok {
		return loaded
	}
	loaded := loadSection(s, text)
	c.add(s, loaded)
	return loaded
}

func (c *Cache) find(s Section, text string) (section, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.sections, func(k cached) bool { return k.name == s && k.text == text })
	if i < 0 {
		return section{}, false
	}
	found := c.sections[i]
	c.sections = append(slices.Delete(c.sections, i, i+1), found)
	return found.section, true
}

func (c *Cache) add(s Section, loaded section) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sections = append(c.sections, cached{s, loaded})
	c.bytes += len(loaded.text)
	for len(c.sections) > maxCached || c.bytes > maxCachedBytes {
		c.bytes -= len(c.sections[0].text)
		c.sections = slices.Delete(c.sections, 0, 1)
	}
}
