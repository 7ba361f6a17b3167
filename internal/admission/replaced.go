package admission

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Limits of ReplacedVersions. A token is valid for 15 minutes (aws-iam-authenticator v0.7.18,
// pkg/token/token.go). The API server caches a token review for 2 minutes unless
// --authentication-token-webhook-cache-ttl sets another duration. So no login is older than 15 minutes.
const (
	maxReplaced = 4
	replacedFor = 15 * time.Minute
)

// ReplacedVersions holds the versions of aws-auth that were stored a short time ago. A requester may still be logged in
// through an entry of such a version. The versions come from the watch of the stored object. They never come from
// requests, because any client of the port can forge a request. The zero value is ready to use.
type ReplacedVersions struct {
	mu       sync.Mutex
	current  *awsauth.Object
	replaced []replacedVersion // the newest first
}

type replacedVersion struct {
	object *awsauth.Object
	at     time.Time // when another version replaced the object
}

// Observe records the stored version. A nil object means that aws-auth does not exist. The caller must not modify the
// object afterwards.
func (v *ReplacedVersions) Observe(stored *awsauth.Object, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current != nil && (stored == nil || !maps.Equal(v.current.Data, stored.Data)) {
		v.replaced = slices.Insert(v.replaced, 0, replacedVersion{v.current, now})
		v.replaced = v.replaced[:min(len(v.replaced), maxReplaced)]
	}
	v.current = stored
}

// Recent returns the last observed version, followed by the versions that were replaced within the last 15 minutes, the
// newest first. The watch may lag behind, so the version that a request replaces can be newer than all of these.
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
