package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

// folder is the folder that the kubelet mounts.
type folder struct {
	t    *testing.T
	path string
}

func (f folder) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// swap makes a symbolic link point to another target. The change is atomic.
func (f folder) swap(link, target string) {
	f.t.Helper()
	tmp := filepath.Join(f.path, "tmp")
	if err := os.Symlink(target, tmp); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(f.path, link)); err != nil {
		f.t.Fatal(err)
	}
}

// watch loads and watches guard.yaml with a fake clock. It returns a text for each report of Watch: the first admin group of the new
// configuration, or the error. The number of a step follows the reports that Watch made after this step.
func watch(t *testing.T, set func(folder), steps []func(folder)) (got []string) {
	t.Helper()
	f := folder{t, t.TempDir()}
	set(f)
	var mu sync.Mutex
	add := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, what)
	}
	synctest.Test(t, func(t *testing.T) {
		file := &config.File{Path: filepath.Join(f.path, "guard.yaml")}
		if _, err := file.Load(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			file.Watch(ctx, func(c *config.Config, err error) {
				switch {
				case err != nil:
					add(strings.ReplaceAll(err.Error(), f.path, "DIR"))
				default:
					add(c.AdminGroups[0])
				}
			})
		}()
		for i, step := range steps {
			step(f)
			<-time.After(2*config.DefaultInterval + time.Millisecond)
			add(fmt.Sprint(i))
		}
		stop()
		<-ended
	})
	return got
}

func groups(name string) string { return head + "adminGroups: [" + name + "]\n" }

func TestWatchReportsStableContents(t *testing.T) {
	t.Parallel()
	got := watch(t, func(f folder) { f.write("guard.yaml", groups("a")) }, []func(folder){
		func(folder) {},
		func(f folder) { f.write("guard.yaml", groups("b")) },
		func(f folder) { f.write("guard.yaml", groups("b")) },
		func(f folder) { f.write("guard.yaml", head+"adminGroups: []\n") },
		func(folder) {},
		func(f folder) { f.write("guard.yaml", groups("b")) },
		func(f folder) {
			if err := os.Remove(filepath.Join(f.path, "guard.yaml")); err != nil {
				f.t.Fatal(err)
			}
		},
		func(folder) {},
		func(f folder) { f.write("guard.yaml", groups("a")) },
	})
	want := []string{
		"0", "b", "1", "2",
		"DIR/guard.yaml:3: adminGroups: is an empty list; write at least one group", "3", "4",
		"b", "5",
		"reading the configuration: open DIR/guard.yaml: no such file or directory", "6", "7",
		"a", "8",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// The kubelet writes a new ConfigMap beside the old one and renames a symbolic link over the old link.
func TestWatchSymlinkSwap(t *testing.T) {
	t.Parallel()
	mount := func(f folder) {
		f.write("..1/guard.yaml", groups("a"))
		f.swap("..data", "..1")
		f.swap("guard.yaml", "..data/guard.yaml")
	}
	got := watch(t, mount, []func(folder){
		func(f folder) {
			f.write("..2/guard.yaml", groups("b"))
			f.swap("..data", "..2")
			if err := os.RemoveAll(filepath.Join(f.path, "..1")); err != nil {
				f.t.Fatal(err)
			}
		},
		func(f folder) {
			f.write("..3/guard.yaml", groups("b"))
			f.swap("..data", "..3")
		},
	})
	if diff := cmp.Diff([]string{"b", "0", "1"}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// Watch never uses a half-written file, which a read may return.
func TestWatchIgnoresHalfWrittenFile(t *testing.T) {
	t.Parallel()
	got := watch(t, func(f folder) { f.write("guard.yaml", groups("a")) }, []func(folder){
		func(f folder) {
			f.write("guard.yaml", head)
			<-time.After(config.DefaultInterval + time.Millisecond)
			f.write("guard.yaml", groups("b"))
		},
	})
	if diff := cmp.Diff([]string{"b", "0"}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// Watch reports a change between the first read and its own start.
func TestWatchSeesChangeBeforeItsStart(t *testing.T) {
	t.Parallel()
	f := folder{t, t.TempDir()}
	f.write("guard.yaml", groups("a"))
	synctest.Test(t, func(t *testing.T) {
		file := &config.File{Path: filepath.Join(f.path, "guard.yaml"), Interval: time.Minute}
		if _, err := file.Load(); err != nil {
			t.Fatal(err)
		}
		f.write("guard.yaml", groups("b"))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		start := time.Now()
		file.Watch(ctx, func(*config.Config, error) { stop() })
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("seen after %s", took)
		}
	})
}
