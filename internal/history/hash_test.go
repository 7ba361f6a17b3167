package history_test

import (
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// The webhook receives U+FFFD for a byte that is not UTF-8, and the watch receives the byte. Both contents have the
// same hash.
func TestHashIgnoresReplacedBytes(t *testing.T) {
	t.Parallel()
	hash := func(text string) string { return history.Hash(map[string]string{"mapRoles": text}, nil) }
	if hash("# Andr\xe9") != hash("# Andr\ufffd") {
		t.Error("a byte that is not UTF-8 and U+FFFD have different hashes")
	}
	if hash("# Andr\xe9") == hash("# André") {
		t.Error("a byte that is not UTF-8 and a letter have the same hash")
	}
}
