//go:build !race

package server_test

// reviewTimeout is how long a client waits for a review during a flood.
const reviewTimeout = apiTimeout
