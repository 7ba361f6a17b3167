package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxPartBytes limits the decompressed size of one part, which is the JSON of one version. A ConfigMap holds 1 MiB. JSON can
	// need six bytes for a character, but no real aws-auth consists mostly of such characters.
	maxPartBytes = 4 << 20
	// maxTotalBytes limits the decompressed size of all parts of a ConfigMap together. Ten versions of 1 MiB need a third of it.
	maxTotalBytes = 32 << 20
)

// errTooLarge means that the decompressed size of a part is over the limit.
var errTooLarge = errors.New("the decompressed part is too large")

// encode returns a value as compressed JSON. size is the size of the JSON in bytes. The same value gives the same bytes.
func encode(v any) (raw []byte, size int, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, 0, fmt.Errorf("encoding: %w", err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		return nil, 0, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, 0, fmt.Errorf("compressing: %w", err)
	}
	return b.Bytes(), len(text), nil
}

// decode decodes the output of encode. It returns an error if the JSON has more than limit bytes. size is the number of
// decompressed bytes, at most limit. It is also valid if decode returns an error.
func decode(raw []byte, into any, limit int) (size int, err error) {
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return 0, fmt.Errorf("decompressing: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	size = min(len(text), limit)
	if err != nil {
		return size, fmt.Errorf("decompressing: %w", err)
	}
	if len(text) > limit {
		return size, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return size, fmt.Errorf("decoding: %w", err)
	}
	return size, nil
}
