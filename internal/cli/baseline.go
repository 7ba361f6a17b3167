package cli

import (
	"fmt"
	"os"
)

// maxBaseline limits the size of the file of --baseline, in bytes. 200 clusters with 50 rows each take about 8 MiB.
const maxBaseline = 64 << 20

// readBaseline reads the file of --baseline and decodes it. readBaseline adds the name of the file to an error of
// decode.
func readBaseline(file string, decode func(src []byte) error) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading the baseline: %w", err)
	}
	defer f.Close()
	src, tooLarge, err := readAtMost(f, maxBaseline)
	if tooLarge {
		err = fmt.Errorf("it is larger than the limit of %d MiB", maxBaseline>>20)
	}
	if err == nil {
		err = decode(src)
	}
	if err != nil {
		return fmt.Errorf("reading the baseline %s: %w", file, err)
	}
	return nil
}
