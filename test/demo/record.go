package main

import (
	"os"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/recording"
)

// record starts a recording of the output of out, in colours, if the environment variable RECORD names a folder. save writes
// the recording into this folder. Without RECORD, record doesn't change out, and save does nothing.
func record(out *terminal) (save func() error) {
	folder := os.Getenv("RECORD")
	if folder == "" {
		return func() error { return nil }
	}
	recorder := recording.New(out.Writer, time.Now) //nolint:forbidigo // the times of the recording
	out.Writer, out.colour = recorder, true
	return func() error { return recorder.Cast().Save(folder) }
}
