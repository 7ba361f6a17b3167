package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// maxBaseline limits the size of the file of --baseline, in bytes. 200 clusters with 50 rows each take about 8 MiB.
const maxBaseline = 64 << 20

// readBaseline decodes the file of --baseline into v. command is the command that wrote the file. complete reports whether v has the fields
// that an output of this command for several clusters has.
func readBaseline(file, command string, v any, complete func() bool) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading the baseline: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxBaseline+1))
	if err == nil && len(src) > maxBaseline {
		err = fmt.Errorf("it is larger than the limit of %d MiB", maxBaseline>>20)
	}
	if err == nil {
		err = json.Unmarshal(src, v)
	}
	if err == nil && !complete() {
		err = fmt.Errorf("it is not the output of kubectl awsauth %s -o json for several clusters", command)
	}
	if err != nil {
		return fmt.Errorf("reading the baseline %s: %w", file, err)
	}
	return nil
}
