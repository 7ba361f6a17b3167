//go:build !race

package iam_test

import "time"

// slack is what a lookup may take beyond its budget.
const slack = 50 * time.Millisecond
