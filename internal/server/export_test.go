package server

import "context"

// NewDirectory and its Announce and Prepare are what asks IAM.
var NewDirectory = newDirectory

// Announce is announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare is prepare.
func (d *directory) Prepare() { d.prepare() }
