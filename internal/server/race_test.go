//go:build race

package server_test

// The race detector slows the clients of a flood down, which share the CPUs with the webhook.
const reviewTimeout = 3 * apiTimeout
