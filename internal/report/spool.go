package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSpool is how much of a spool is kept in memory; most runs never need a file.
const maxSpool = 1 << 20

// spool keeps what can be written at the end only, past a bound in a file without a name.
type spool struct {
	memory bytes.Buffer
	file   *os.File
}

func (s *spool) Write(p []byte) (int, error) {
	if s.memory.Len()+len(p) > maxSpool {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	return s.memory.Write(p)
}

// spill moves what is in memory to the file.
func (s *spool) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp("", "awsauth-guard-")
		if err != nil {
			return fmt.Errorf("making a temporary file for the output: %w", err)
		}
		s.file = f
		_ = os.Remove(f.Name()) // where a system refuses that, drain does it
	}
	if _, err := s.memory.WriteTo(s.file); err != nil {
		return fmt.Errorf("writing a temporary file for the output: %w", err)
	}
	return nil
}

// drain writes everything to w, and is the end of the spool.
func (s *spool) drain(w io.Writer) error {
	var err error
	if s.file != nil {
		if _, err = s.file.Seek(0, io.SeekStart); err == nil {
			_, err = io.Copy(w, s.file)
		}
		err = errors.Join(err, s.file.Close())
		_ = os.Remove(s.file.Name())
	}
	if err != nil {
		return err
	}
	_, err = s.memory.WriteTo(w)
	return err
}
