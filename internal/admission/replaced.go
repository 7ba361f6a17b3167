package admission

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Limits of ReplacedVersions. A token is valid for 15 minutes (aws-iam-authenticator v0.7.18,
// pkg/token/token.go), and the API server caches a token review for 2 minutes unless
// --authentication-token-webhook-cache-ttl says otherwise, so that no login is older.
const (
	maxReplaced = 4
	replacedFor = 15 * time.Minute
)

// ReplacedVersions holds the versions of aws-auth that were stored a short time ago. A requester may
// still be logged in by an entry of one of them. It learns the versions from the watch of the stored object, and
// never from requests, which anything that reaches the port can forge. The zero value is ready to use.
type ReplacedVersions struct {
	mu       sync.Mutex
	current  *awsauth.Object
	replaced []replacedVersion // the newest first
}

type replacedVersion struct {
	object *awsauth.Object
	at     time.Time // when another version took its place
}

// Observe records that a version is stored; nil means that aws-auth does not exist. The object must not
// change afterwards.
func (v *ReplacedVersions) Observe(stored *awsauth.Object, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current != nil && (stored == nil || !maps.Equal(v.current.Data, stored.Data)) {
		v.replaced = slices.Insert(v.replaced, 0, replacedVersion{v.current, now})
		v.replaced = v.replaced[:min(len(v.replaced), maxReplaced)]
	}
	v.current = stored
}

// Recent returns the versions that were replaced a short time before now, the newest first. The
// last observed version comes before them: the request at hand may know a newer one.
func (v *ReplacedVersions) Recent(now time.Time) (objects []*awsauth.Object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current != nil {
		objects = append(objects, v.current)
	}
	for _, r := range v.replaced {
		if now.Sub(r.at) <= replacedFor {
			objects = append(objects, r.object)
		}
	}
	return objects
}
