//go:build race

package iam_test

import "time"

// slack is what a lookup may take beyond its budget. The race detector makes everything slower.
const slack = 500 * time.Millisecond
