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
	// maxDecoded bounds what a single part unfolds to. A ConfigMap holds 1 MiB, which JSON writes with up to
	// six times as many bytes; a text of which most characters need that is nobody's aws-auth.
	maxDecoded = 4 << 20
	// maxTotal bounds what all parts of one ConfigMap unfold to: ten versions of 1 MiB, three times over.
	maxTotal = 32 << 20
)

// errTooLarge is wrapped where a part unfolds to more than is read.
var errTooLarge = errors.New("it unfolds to too much text")

// encode writes a value as compressed JSON. The same value gives the same bytes. size is what it unfolds to.
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

// decode reads what encode has written, if it unfolds to no more than a limit. size is what has been
// unfolded, also where that was in vain.
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
