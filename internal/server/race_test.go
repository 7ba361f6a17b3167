//go:build race

package server_test

// reviewTimeout is longer with the race detector, because it slows down the webhook and the clients of a flood.
const reviewTimeout = 3 * apiTimeout
