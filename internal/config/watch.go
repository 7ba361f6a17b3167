package config

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// DefaultInterval is how often a [File] is read again. The kubelet needs up to a minute to bring a
// new ConfigMap to a pod, beside which a second is nothing; reading a file that the kernel has in
// memory takes microseconds.
const DefaultInterval = time.Second

// File is a GuardConfig file that may change. It is read again and again instead of watched: no
// event can be missed, and a symbolic link that is swapped, as the kubelet does, is nothing special.
type File struct {
	// Path is the file's path.
	Path string
	// Interval is the time between two readings; zero means [DefaultInterval]. Tests shorten it.
	Interval time.Duration

	used snapshot // what was reported last
}

// snapshot is what one reading gave.
type snapshot struct {
	text []byte
	err  error // why there is no text
}

func (s snapshot) equal(other snapshot) bool {
	if s.err != nil && other.err != nil {
		return s.err.Error() == other.err.Error()
	}
	return s.err == nil && other.err == nil && bytes.Equal(s.text, other.text)
}

// Load reads the file. What it holds is from then on no change to [File.Watch].
func (f *File) Load() (*Config, error) {
	f.used = f.read()
	return f.used.parse(f.Path)
}

// Watch calls changed, in the order of time and one call after the other, once for each content
// that the file has had for two readings in a row, with its configuration or with everything that
// is wrong with it. A single reading may catch a file that is half written, and half a list of
// protected principals is a list too. Watch returns when the context ends.
func (f *File) Watch(ctx context.Context, changed func(*Config, error)) {
	interval := f.Interval
	if interval == 0 {
		interval = DefaultInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := f.used
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := f.read()
		if now.equal(last) && !now.equal(f.used) {
			f.used = now
			changed(now.parse(f.Path))
		}
		last = now
	}
}

func (f *File) read() (s snapshot) {
	if s.text, s.err = os.ReadFile(f.Path); s.err != nil {
		s.err = fmt.Errorf("reading the configuration: %w", s.err)
	}
	return s
}

func (s snapshot) parse(path string) (*Config, error) {
	if s.err != nil {
		return nil, s.err
	}
	return Parse(path, s.text)
}
