package awsauth

import (
	"slices"
	"sync"
)

// Limits of a Cache. A change brings at most three new sections, so that those of the last versions stay. A
// decoded section takes some ten times the memory of its text.
const (
	maxCached      = 8
	maxCachedBytes = 2 << 20
)

// Cache holds decoded sections by their text: nearly always the version that a change replaces was decoded
// before, when it was new. The zero Cache is empty and ready to use. Its methods may be called concurrently. A nil
// Cache holds nothing.
type Cache struct {
	mu       sync.Mutex
	sections []cached // the newest last
	bytes    int      // of their texts
}

type cached struct {
	name Section
	section
}

// load is [loadSection] for a text that may have been decoded before.
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
