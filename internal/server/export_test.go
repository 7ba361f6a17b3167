package server

import (
	"context"
	"net/http"
	"time"
)

// NewDirectory and its Announce and Prepare are what asks IAM.
var NewDirectory = newDirectory

// Announce is announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare is prepare.
func (d *directory) Prepare() { d.prepare() }

// NewContact is a contact that goes on to next, and since when it is lost.
func NewContact(next http.RoundTripper) (http.RoundTripper, func() time.Time) {
	c := new(cluster)
	return &contact{next, &c.lost}, c.configurationLost
}
