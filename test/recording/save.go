package recording

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	// CastFile is the name of the file with the recording.
	CastFile = "demo.cast"
	// PictureFile is the name of the file with the picture.
	PictureFile = "demo.svg"

	title       = "make demo"
	description = "A recording of the demo in a terminal. The webhook starts beside a real API server, and kubectl makes nine edits of " +
		"aws-auth. The guard admits the edits that take no access away. It refuses the others, and names the line, the cause and the " +
		"correction. The last screen has the counters of the webhook. The tutorial shows such edits as text."
	// still is the number of the screen with the third edit, which the guard refuses. The screen 0 has the configuration.
	still = 3
)

// Save writes the recording and its picture into a folder.
func (c Cast) Save(folder string) error {
	cast, err := c.Marshal()
	if err != nil {
		return err
	}
	// Marshal rounds the times. Draw the picture from the rounded times, as a reader of the file would.
	if c, err = Parse(cast); err != nil {
		return err
	}
	picture, err := c.SVG()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{CastFile: cast, PictureFile: picture} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("writing the recording: %w", err)
		}
	}
	return nil
}
