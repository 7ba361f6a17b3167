package main

import (
	"os"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/recording"
)

// record lets out record what it prints, in colours, if RECORD is set. save writes the recording into the folder RECORD.
func record(out *terminal) (save func() error) {
	folder := os.Getenv("RECORD")
	if folder == "" {
		return func() error { return nil }
	}
	recorder := recording.New(out.Writer, time.Now) //nolint:forbidigo // the times of the recording
	out.Writer, out.colour = recorder, true
	return func() error { return recorder.Cast().Save(folder) }
}
