package config

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// DefaultInterval is the default time between two reads of a [File]. The kubelet takes up to a minute to update a ConfigMap in a
// pod, so another second does not matter. A read of a cached file takes microseconds.
const DefaultInterval = time.Second

// File is a GuardConfig file that may change. It reads the file periodically instead of watching it. A watch can lose a
// notification, and would have to follow the symbolic links that the kubelet replaces. Watch does not
// report a content that lasts less than two reads.
type File struct {
	// Path is the file's path.
	Path string
	// Interval is the time between two reads. Zero means [DefaultInterval]. Only tests set it.
	Interval time.Duration

	used snapshot // the content that Load or Watch reported last
}

// snapshot is the result of one read.
type snapshot struct {
	text []byte
	err  error // the error of the read
}

func (s snapshot) equal(other snapshot) bool {
	if s.err != nil && other.err != nil {
		return s.err.Error() == other.err.Error()
	}
	return s.err == nil && other.err == nil && bytes.Equal(s.text, other.text)
}

// Load reads and checks the file. The errors are those of the function [Load]. A later [File.Watch] reports the next content that
// differs from this content.
func (f *File) Load() (*Config, error) {
	f.used = f.read()
	return f.used.parse(f.Path)
}

// Watch calls changed for each new content of the file, with the configuration or with an error that joins all problems of the
// file. The calls have the order of the contents and are never concurrent. Watch returns when the context ends.
//
// A single read may return a half-written file, which can be a valid configuration with half of the protected principals.
// So Watch reports a content only after two reads in a row have returned it.
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
