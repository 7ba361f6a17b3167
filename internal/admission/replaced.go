package admission

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// maxReplaced limits the number of replaced versions. replacedFor is how long a login through a replaced version may
// last: a token is valid for 15 minutes (aws-iam-authenticator v0.7.18, pkg/token/token.go). By default the API server
// caches the answer of the authenticator for only 2 minutes; --authentication-token-webhook-cache-ttl can set a longer
// time.
const (
	maxReplaced = 4
	replacedFor = 15 * time.Minute
)

// ReplacedVersions holds the stored version of aws-auth and the versions that were replaced a short time ago. A
// requester may still be logged in through an entry of such a version. The versions come from the watch of the stored
// object. They never come from requests, because any client of the port can forge a request. The zero value is ready to
// use.
type ReplacedVersions struct {
	mu       sync.Mutex
	current  *awsauth.Object   // the last observed version; nil if aws-auth does not exist
	replaced []replacedVersion // sorted from the newest to the oldest
}

type replacedVersion struct {
	object *awsauth.Object
	at     time.Time // when another version replaced the object
}

// Observe records the stored version. A nil object means that aws-auth does not exist. The caller must not modify the
// object afterwards. A version with the same data as the version before doesn't count as a replacement.
func (v *ReplacedVersions) Observe(stored *awsauth.Object, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current != nil && (stored == nil || !maps.Equal(v.current.Data, stored.Data)) {
		v.replaced = slices.Insert(v.replaced, 0, replacedVersion{v.current, now})
		v.replaced = v.replaced[:min(len(v.replaced), maxReplaced)]
	}
	v.current = stored
}

// Recent returns the last observed version and the versions that were replaced within the last 15 minutes, sorted from
// the newest to the oldest. The watch may lag behind, so a request can replace a version that is newer than all of
// these.
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
